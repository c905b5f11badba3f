// SPDX-License-Identifier: GPL-2.0-or-later
//! The BTF reader.

use crate::blob::Blob;
use modlogic::mkdfinfo::btf::{Btf, Error, INDEX_LEN, Index, Member, Result};
use proptest::prelude::*;

/// Indexes a blob and asks it something.
fn ask<T>(blob: &[u8], question: impl FnOnce(&Index<'_, '_>) -> Result<T>) -> Result<T> {
    let mut marks = vec![0; INDEX_LEN];
    question(&Btf::parse(blob)?.index(&mut marks, |_, _| {})?)
}

/// Something like `struct page`.
fn page() -> (Vec<u8>, u32) {
    let mut blob = Blob::default();
    let long = blob.int("unsigned long", 8);
    let inner = blob.structure("", 16, &[("compound_info", long, 0), ("unused", long, 64)]);
    let outer = blob.union("", 16, &[("lru", long, 0), ("", inner, 0)]);
    let page = blob.structure("page", 24, &[("flags", long, 0), ("", outer, 64)]);
    (blob.build(), page)
}

#[test]
fn member_inside_anonymous_union_has_the_outer_offset() {
    let (blob, page) = page();
    let member = |name| ask(&blob, |index| index.member(page, name)).unwrap();
    assert_eq!(
        member("flags"),
        Some(Member {
            offset_bits: 0,
            type_id: 1
        })
    );
    assert_eq!(
        member("lru"),
        Some(Member {
            offset_bits: 64,
            type_id: 1
        })
    );
    assert_eq!(
        member("unused"),
        Some(Member {
            offset_bits: 128,
            type_id: 1
        })
    );
    assert_eq!(member("nothing"), None);
    assert_eq!(member("flag"), None, "a prefix is no match");
    assert_eq!(ask(&blob, |index| index.size(page)), Ok(24));
}

#[test]
fn bit_field_width_is_no_part_of_the_offset() {
    let mut blob = Blob::default();
    let int = blob.int("int", 4);
    let ty = blob.aggregate("s", 4, true, 8, &[("bits", int, 3 << 24 | 33)]);
    let blob = blob.build();
    assert_eq!(
        ask(&blob, |index| index.member(ty, "bits"))
            .unwrap()
            .unwrap()
            .offset_bits,
        33
    );
}

#[test]
fn sizes_follow_typedefs_arrays_and_pointers() {
    let mut blob = Blob::default();
    let int = blob.int("u32", 4);
    let inner = blob.array(int, 23);
    let outer = blob.array(inner, 4);
    let named = blob.typedef("note_buf_t", outer);
    let pointer = blob.pointer(named);
    let blob = blob.build();
    assert_eq!(ask(&blob, |index| index.size(named)), Ok(4 * 23 * 4));
    assert_eq!(ask(&blob, |index| index.size(pointer)), Ok(8));
    assert_eq!(ask(&blob, |index| index.array_len(named)), Ok(Some(4)));
    assert_eq!(ask(&blob, |index| index.array_len(int)), Ok(None));
}

#[test]
fn enumerators_are_signed_or_not_as_the_type_says() {
    let mut blob = Blob::default();
    let signed = blob.enumeration("s", true, &[("A", 1), ("B", -1)]);
    let unsigned = blob.enumeration("u", false, &[("C", -1)]);
    let wide = blob.enumeration64("w", &[("D", 0xf_0000_0001)]);
    let blob = blob.build();
    let value = |id, name| ask(&blob, |index| index.enumerator(id, name)).unwrap();
    assert_eq!(value(signed, "B"), Some(-1));
    assert_eq!(value(unsigned, "C"), Some(0xffff_ffff));
    assert_eq!(value(wide, "D"), Some(0xf_0000_0001));
    assert_eq!(value(signed, "C"), None);
}

#[test]
fn every_type_is_found_by_number_across_marks() {
    let mut blob = Blob::default();
    let ids: Vec<u32> = (1..300).map(|bytes| blob.int("int", bytes)).collect();
    let blob = blob.build();
    for id in ids {
        assert_eq!(ask(&blob, |index| index.size(id)), Ok(id.into()));
    }
    assert_eq!(ask(&blob, |index| index.size(300)), Err(Error::NoType(300)));
    assert_eq!(ask(&blob, |index| index.size(0)), Err(Error::NoType(0)));
}

#[test]
fn kind_from_the_future_is_skipped_when_the_blob_says_its_length() {
    let future = |known: bool| {
        let mut blob = Blob::default();
        blob.record("new", 25, false, 2, 0, &[1, 2, 3, 4, 5]);
        let int = blob.int("int", 4);
        if known {
            blob.layout(25, (4, 8));
        }
        (blob.build(), int)
    };
    let (blob, int) = future(true);
    assert_eq!(ask(&blob, |index| index.size(int)), Ok(4));
    assert_eq!(ask(&future(false).0, |_| Ok(())), Err(Error::Kind(1, 25)));
}

#[test]
fn loops_and_absurd_nesting_end() {
    let mut blob = Blob::default();
    let own = blob.typedef("loop", 1);
    assert_eq!(
        ask(&blob.build(), |index| index.resolve(own).map(|_| ())),
        Err(Error::Depth(own))
    );

    // Each level has 100 anonymous members of the next: 100^10 paths.
    let mut blob = Blob::default();
    let mut id = blob.structure("", 1, &[]);
    for _ in 0..9 {
        id = blob.structure("", 1, &[("", id, 0); 100]);
    }
    let asked = ask(&blob.build(), |index| index.member(id, "x"));
    assert!(matches!(asked, Err(Error::TooManyMembers(_))), "{asked:?}");

    let mut blob = Blob::default();
    let mut id = blob.structure("", 1, &[]);
    for _ in 0..20 {
        id = blob.structure("", 1, &[("", id, 0)]);
    }
    let asked = ask(&blob.build(), |index| index.member(id, "x"));
    assert!(matches!(asked, Err(Error::Depth(_))), "{asked:?}");

    let mut blob = Blob::default();
    let mut id = blob.int("int", 4);
    for _ in 0..8 {
        id = blob.array(id, u32::MAX);
    }
    assert_eq!(
        ask(&blob.build(), |index| index.size(id)),
        Err(Error::Overflow)
    );
}

#[test]
fn bad_headers_are_named() {
    let (blob, _) = page();
    let error = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut blob = blob.clone();
        change(&mut blob);
        ask(&blob, |_| Ok(())).unwrap_err()
    };
    assert_eq!(error(&|blob| blob[0] = 0), Error::Magic(0xeb00));
    assert_eq!(error(&|blob| blob[2] = 2), Error::Version(2));
    assert_eq!(error(&|blob| blob[4] = 8), Error::Truncated);
    assert_eq!(error(&|blob| blob[15] = 0xff), Error::Section("types"));
    assert_eq!(error(&|blob| blob[23] = 0xff), Error::Section("strings"));
    assert_eq!(error(&|blob| blob.truncate(3)), Error::Truncated);
    assert_eq!(error(&|blob| blob.clear()), Error::Truncated);
}

#[test]
fn truncated_anywhere_is_an_error() {
    let (blob, _) = page();
    for len in 0..blob.len() {
        assert!(ask(&blob[..len], |_| Ok(())).is_err(), "{len} bytes");
    }
}

#[test]
fn prototype_that_reaches_behind_the_types_is_named() {
    let mut blob = Blob::default();
    blob.pointer(0);
    blob.record("", 13, false, 3, 1, &[0, 1, 0, 1]);
    assert_eq!(ask(&blob.build(), |_| Ok(())), Err(Error::Record(2)));
}

proptest! {
    /// Most of a kernel's BTF is walked over without a look; nothing else may be.
    #[test]
    fn structs_among_functions_are_shown_and_found(kinds in prop::collection::vec(0u32..7, 1..400)) {
        let mut blob = Blob::default();
        let (mut structs, mut ints) = (Vec::new(), Vec::new());
        for (kind, bytes) in kinds.iter().zip(1..) {
            match kind {
                0 => drop(blob.record("f", 12, false, 1, 1, &[])),
                1 => drop(blob.record("", 13, false, 2, 1, &[0, 1, 0, 1])),
                2 => drop(blob.record("", 13, false, 0, 1, &[])),
                3 => drop(blob.pointer(1)),
                4 => drop(blob.array(1, 2)),
                5 => ints.push((blob.int("int", bytes), bytes)),
                _ => structs.push((blob.structure("s", bytes, &[("a", 1, 0), ("b", 1, 8)]), bytes)),
            }
        }
        let blob = blob.build();
        let (mut marks, mut shown) = (vec![0; INDEX_LEN], Vec::new());
        let index = Btf::parse(&blob).and_then(|btf| {
            btf.index(&mut marks, |btf, ty| {
                assert!(ty.is_named(btf, "s"));
                shown.push(ty.id);
            })
        });
        let index = index.unwrap();
        prop_assert_eq!(index.count() as usize, kinds.len());
        prop_assert_eq!(shown, structs.iter().map(|&(id, _)| id).collect::<Vec<_>>());
        for (id, bytes) in structs.into_iter().chain(ints) {
            prop_assert_eq!(index.size(id), Ok(bytes.into()));
        }
    }

    #[test]
    fn any_damage_gives_an_answer_or_an_error(
        damage in prop::collection::vec((0usize..400, any::<u8>()), 1..8),
    ) {
        let (mut blob, page) = page();
        for (at, byte) in damage {
            let len = blob.len();
            blob[at % len] = byte;
        }
        let _ = ask(&blob, |index| {
            for id in 0..index.count().min(50) + 2 {
                let _ = (index.size(id), index.array_len(id), index.enumerator(id, "A"), index.member(id, "unused"));
            }
            index.member(page, "lru")
        });
    }
}
