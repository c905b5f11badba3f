// SPDX-License-Identifier: GPL-2.0-or-later
//! Agreement of sources, and the key table itself.

use crate::blob::Blob;
use modlogic::mkdfinfo::btf::INDEX_LEN;
use modlogic::mkdfinfo::collect::{self, Outcome, Source, Types, Value};
use modlogic::mkdfinfo::kallsyms::Found;
use modlogic::mkdfinfo::keys::{KEYS, Kind, Scope};
use std::collections::HashSet;

fn values() -> Vec<Value> {
    vec![Value::default(); KEYS.len()]
}

fn at(kind: Kind, name: &str) -> usize {
    collect::position(kind, name).expect(name)
}

fn ask_btf(blob: &[u8]) -> Vec<Value> {
    let mut values = values();
    collect::say_btf(
        &mut values,
        blob,
        &mut vec![0; INDEX_LEN],
        &mut Types::default(),
    )
    .expect("BTF");
    values
}

#[test]
fn sources_that_agree_give_the_value_and_others_a_conflict() {
    let mut value = Value::default();
    assert_eq!(value.outcome(), Outcome::Absent);
    value.say(Source::Note, Some(8));
    value.say(Source::Btf, Some(8));
    value.say(Source::Build, None);
    assert_eq!(value.outcome(), Outcome::Agreed(8));
    value.say(Source::Build, Some(16));
    assert_eq!(
        value.outcome(),
        Outcome::Conflict((Source::Build, 16), (Source::Note, 8))
    );
    assert_eq!(value.agreed(), None);
}

#[test]
fn keys_are_unique_within_their_scope() {
    let mut seen = HashSet::new();
    for key in KEYS {
        assert!(
            seen.insert((key.kind, key.name, key.scope == Scope::Boot)),
            "{key:?}"
        );
    }
}

#[test]
fn sizes_offsets_lengths_and_numbers_come_out_of_btf() {
    let mut blob = Blob::default();
    let long = blob.int("unsigned long", 8);
    let list = blob.structure("list_head", 16, &[("next", long, 0), ("prev", long, 64)]);
    let lists = blob.array(list, 6);
    let area = blob.structure(
        "free_area",
        104,
        &[("free_list", lists, 0), ("nr_free", long, 768)],
    );
    let areas = blob.array(area, 11);
    blob.structure(
        "zone",
        1856,
        &[("free_area", areas, 2048), ("bits", long, 3)],
    );
    blob.enumeration(
        "pagetype",
        false,
        &[("PGTY_buddy", 0xf0), ("PGTY_slab", 0xf5)],
    );
    blob.enumeration("pageflags", false, &[("PG_head", 6), ("PG_lru", 5)]);
    let values = ask_btf(&blob.build());
    let said = |kind, name| values[at(kind, name)].said(Source::Btf);
    assert_eq!(said(Kind::Size, "list_head"), Some(16));
    assert_eq!(said(Kind::Offset, "zone.free_area"), Some(256));
    assert_eq!(said(Kind::Length, "zone.free_area"), Some(11));
    assert_eq!(said(Kind::Length, "free_area.free_list"), Some(6));
    assert_eq!(said(Kind::Number, "PG_lru"), Some(5));
    assert_eq!(said(Kind::Number, "PG_head_mask"), Some(64));
    assert_eq!(
        said(Kind::Number, "PAGE_BUDDY_MAPCOUNT_VALUE"),
        Some(-268_435_456)
    );
    assert_eq!(
        said(Kind::Number, "PAGE_HUGETLB_MAPCOUNT_VALUE"),
        None,
        "not in this kernel"
    );
}

#[test]
fn types_of_one_name_must_agree() {
    let of = |second: u32| {
        let mut blob = Blob::default();
        let long = blob.int("unsigned long", 8);
        blob.structure("list_head", 16, &[("next", long, 0), ("prev", long, 64)]);
        blob.structure(
            "list_head",
            16,
            &[("next", long, 0), ("prev", long, second)],
        );
        ask_btf(&blob.build())
    };
    assert_eq!(
        of(64)[at(Kind::Offset, "list_head.prev")].said(Source::Btf),
        Some(8)
    );
    let differing = of(128);
    assert_eq!(
        differing[at(Kind::Offset, "list_head.prev")].said(Source::Btf),
        None
    );
    assert_eq!(
        differing[at(Kind::Offset, "list_head.next")].said(Source::Btf),
        Some(0)
    );
}

#[test]
fn a_member_that_is_not_at_a_byte_gives_no_offset() {
    let mut blob = Blob::default();
    let long = blob.int("unsigned long", 8);
    blob.structure("list_head", 16, &[("next", long, 3), ("prev", long, 64)]);
    assert_eq!(
        ask_btf(&blob.build())[at(Kind::Offset, "list_head.next")].said(Source::Btf),
        None
    );
}

#[test]
fn symbols_of_the_note_are_brought_back_to_link_time() {
    let note = b"SYMBOL(prb)=ffffffffb5a830a0\nSYMBOL(mem_section)=ff1fda273e0e7f40\nNUMBER(VMALLOC_START)=0xff4a665700000000\n\
                 NUMBER(SECTION_SIZE_BITS)=27\nNUMBER(SECTION_SIZE_BITS)=30\nOFFSET(page.compound_info)=8\n";
    let mut values = vec![Value::default(); KEYS.len()];
    collect::say_note(&mut values, note, 0x3280_0000);
    let said = |kind, name, scope| {
        let place = KEYS
            .iter()
            .position(|key| (key.kind, key.name, key.scope) == (kind, name, scope))
            .expect(name);
        values[place].said(Source::Note)
    };
    assert_eq!(
        said(Kind::Symbol, "prb", Scope::Build),
        Some(0xffff_ffff_8328_30a0_u64 as i64)
    );
    assert_eq!(
        said(Kind::Symbol, "mem_section", Scope::Build),
        None,
        "the note has the pointer's value"
    );
    assert_eq!(
        said(Kind::Symbol, "mem_section", Scope::Boot),
        Some(0xff1f_da27_3e0e_7f40_u64 as i64)
    );
    assert_eq!(
        said(Kind::Number, "VMALLOC_START", Scope::Boot),
        Some(0xff4a_6657_0000_0000_u64 as i64)
    );
    assert_eq!(
        said(Kind::Number, "SECTION_SIZE_BITS", Scope::Build),
        Some(27),
        "the first line counts"
    );
    assert_eq!(
        said(Kind::Offset, "page.compound_head", Scope::Build),
        Some(8),
        "today's member, the older name"
    );
}

#[test]
fn array_element_address_needs_index_and_element_size() {
    let names = ["node_states"];
    let found = [Found {
        count: 1,
        address: 0xffff_ffff_b5d5_0100,
    }];
    let mut values = values();
    collect::say_symbols(&mut values, Source::Kallsyms, &names, &found, 0x3280_0000);
    let online = at(Kind::Symbol, "node_online_map");
    assert_eq!(values[online].agreed(), None);
    values[at(Kind::Number, "N_ONLINE")].say(Source::Btf, Some(1));
    values[at(Kind::Size, "nodemask_t")].say(Source::Btf, Some(128));
    collect::say_symbols(&mut values, Source::Kallsyms, &names, &found, 0x3280_0000);
    assert_eq!(
        values[online].agreed(),
        Some(0xffff_ffff_8355_0180_u64 as i64)
    );
}

#[test]
fn all_symbols_and_types_fit_into_the_module_s_memory() {
    let mut names = [""; 64];
    let len = collect::symbol_names(&mut names, &["kptr_restrict"]).expect("64 are enough");
    assert!(names[..len].is_sorted());
    assert_eq!(collect::symbol_names(&mut [""; 3], &[]), None);
}
