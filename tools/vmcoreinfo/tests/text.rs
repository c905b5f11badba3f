// SPDX-License-Identifier: GPL-2.0-or-later
//! The text format, from the outside.

use proptest::prelude::*;
use vmcoreinfo::{Error, Key, Kind, MAX_BYTES, OverlayError, Vmcoreinfo};

/// Lines of a real 7.3.4 note, one of each form.
const NOTE: &str = "OSRELEASE=7.3.4+deb13-amd64
BUILD-ID=33bc8c1a9e2b6d41e7a0d2e0a2f41c7b5b8cf6a1
PAGESIZE=4096
SYMBOL(mem_section)=ff1fda273e0e7f40
SYMBOL(prb)=ffffffffb4d3f4a8
SIZE(page)=64
OFFSET(page.flags)=0
LENGTH(zone.free_area)=11
NUMBER(NR_FREE_PAGES)=0
NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-129
NUMBER(VMALLOC_START)=0xffffb0d1c0000000
KERNELOFFSET=31000000
CRASHTIME=1764000000
";

fn parse(text: &str) -> Vmcoreinfo {
    Vmcoreinfo::parse(text.as_bytes()).expect(text)
}

fn error(text: &[u8]) -> (usize, Error) {
    let e = Vmcoreinfo::parse(text).expect_err("must be refused");
    (e.line, e.error)
}

#[test]
fn getters_return_every_form_of_a_real_note() {
    let note = parse(NOTE);
    assert_eq!(note.osrelease(), Some("7.3.4+deb13-amd64"));
    assert_eq!(
        note.build_id(),
        Some("33bc8c1a9e2b6d41e7a0d2e0a2f41c7b5b8cf6a1")
    );
    assert_eq!(note.page_size(), Some(4096));
    assert_eq!(note.kernel_offset(), Some(0x3100_0000));
    assert_eq!(note.symbol("prb"), Some(0xffff_ffff_b4d3_f4a8));
    assert_eq!(note.size("page"), Some(64));
    assert_eq!(note.offset("page.flags"), Some(0));
    assert_eq!(note.length("zone.free_area"), Some(11));
    assert_eq!(note.number("PAGE_BUDDY_MAPCOUNT_VALUE"), Some(-129));
    assert_eq!(
        note.number("VMALLOC_START").map(|v| v as u64),
        Some(0xffff_b0d1_c000_0000)
    );
    assert_eq!(note.symbol("page"), None);
}

#[test]
fn text_comes_back_byte_for_byte() {
    assert_eq!(parse(NOTE).to_text(), NOTE);
}

#[test]
fn padding_and_empty_lines_are_skipped() {
    assert_eq!(parse("\nPAGESIZE=4096\n\n\0\0\0").entries().len(), 1);
    assert_eq!(parse("").entries().len(), 0);
}

#[test]
fn bad_lines_are_named() {
    assert_eq!(error(b"PAGESIZE=4096\nrubbish\n").0, 2);
    assert!(matches!(
        error(b"PAGESIZE=4096\n\x7fELF"),
        (
            2,
            Error::NotText {
                byte: 0x7f,
                column: 1
            }
        )
    ));
    assert!(matches!(error(b"=1"), (1, Error::NotKeyValue { .. })));
    for bad in [
        "SYMBOL(x)=0xffff",
        "SYMBOL(x)=-1",
        "SYMBOL(x)=",
        "SIZE(x)=-1",
        "OFFSET(a.b)=1 ",
        "LENGTH(x)=99999999999999999999",
    ] {
        assert!(
            matches!(error(bad.as_bytes()), (1, Error::BadValue { .. })),
            "{bad}"
        );
    }
    for bad in [
        "NUMBER(x)=ff",
        "NUMBER(x)=0x",
        "NUMBER(x)=+1",
        "NUMBER(x)=0x11111111111111111",
        "KERNELOFFSET=0x10",
    ] {
        assert!(
            matches!(error(bad.as_bytes()), (1, Error::BadValue { .. })),
            "{bad}"
        );
    }
}

#[test]
fn one_key_with_two_values_is_refused_and_with_one_value_accepted() {
    assert_eq!(parse("SIZE(page)=64\nSIZE(page)=64\n").entries().len(), 1);
    match error(b"SIZE(page)=64\nPAGESIZE=4096\nSIZE(page)=56\n") {
        (
            3,
            Error::Contradiction {
                key,
                earlier_line: 1,
                ..
            },
        ) => assert_eq!(key.to_string(), "SIZE(page)"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn texts_and_lines_are_bounded() {
    assert!(
        matches!(error(&vec![b'\n'; MAX_BYTES + 1]), (1, Error::TooLong))
            || Vmcoreinfo::parse(b"").is_ok()
    );
    assert!(matches!(
        error(&vec![b'a'; MAX_BYTES + 1]),
        (1, Error::TooLong)
    ));
    assert!(matches!(error(&vec![b'a'; 2000]), (1, Error::LineTooLong)));
}

#[test]
fn overlay_lets_the_file_win_and_moves_its_symbols() {
    let file = parse(
        "OSRELEASE=7.3.4+deb13-amd64\nSYMBOL(prb)=ffffffff83d3f4a8\nSYMBOL(mem_section)=ffffffff83d3f4a8\nSYMBOL(init_task)=ffffffff83000000\n\
         SIZE(page)=56\nOFFSET(page.compound_head)=8\nKERNELOFFSET=1000000\n",
    );
    let merged = parse(NOTE).overlay(&file).expect("same kernel");
    assert_eq!(merged.symbol("prb"), Some(0xffff_ffff_b4d3_f4a8));
    assert_eq!(
        merged.symbol("mem_section"),
        Some(0xff1f_da27_3e0e_7f40),
        "the pointer's value, not the variable's address"
    );
    assert_eq!(merged.symbol("init_task"), Some(0xffff_ffff_b400_0000));
    assert_eq!(merged.size("page"), Some(56));
    assert_eq!(merged.offset("page.compound_head"), Some(8));
    assert_eq!(
        merged.kernel_offset(),
        Some(0x3100_0000),
        "the crashed boot's, not the file's"
    );
}

#[test]
fn overlay_refuses_another_kernel_and_names_both() {
    let other = parse("OSRELEASE=7.2.12+deb13-amd64\n");
    let message = parse(NOTE)
        .overlay(&other)
        .expect_err("other release")
        .to_string();
    assert!(
        message.contains("7.3.4+deb13-amd64") && message.contains("7.2.12+deb13-amd64"),
        "{message}"
    );
    let other = parse("BUILD-ID=00\n");
    assert!(matches!(
        parse(NOTE).overlay(&other),
        Err(OverlayError::OtherKernel {
            key: "BUILD-ID",
            ..
        })
    ));
}

#[test]
fn overlay_refuses_run_time_addresses() {
    // The note's own address, one that leaves the kernel image when moved, one that leaves the address space.
    for address in ["ffffffffb4d3f4a8", "ffffffffa0000000", "ffffffffffffffff"] {
        let file = parse(&format!("SYMBOL(prb)={address}\n"));
        let result = parse(NOTE).overlay(&file);
        assert!(
            matches!(result, Err(OverlayError::NotLinkTime { .. })),
            "{address}: {result:?}"
        );
    }
}

fn any_key() -> impl Strategy<Value = String> {
    ("(SYMBOL|SIZE|OFFSET|LENGTH|NUMBER|ODD)", "[a-z_.]{1,12}")
        .prop_map(|(kind, name)| format!("{kind}({name})"))
}

proptest! {
    #[test]
    fn any_bytes_give_text_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Vmcoreinfo::parse(&bytes);
    }

    #[test]
    fn what_is_read_is_written_again(key in any_key(), value in "(0x)?-?[0-9a-f]{1,17}") {
        let line = format!("{key}={value}\n");
        if let Ok(info) = Vmcoreinfo::parse(line.as_bytes()) {
            let again = Vmcoreinfo::parse(info.to_text().as_bytes()).expect("our own text");
            prop_assert_eq!(info.entries(), again.entries());
        }
    }

    #[test]
    fn key_text_is_parsed_back(name in "[a-z_.]{0,20}") {
        for kind in Kind::NAMED {
            let key = Key::new(kind, name.clone());
            prop_assert_eq!(Key::parse(&key.to_string()), key);
        }
    }
}
