// SPDX-License-Identifier: GPL-2.0-or-later
//! The note's wrapping, and the text that comes out.

use modlogic::mkdfinfo::collect::{Source, Value};
use modlogic::mkdfinfo::keys::{KEYS, Kind, Scope};
use modlogic::mkdfinfo::note;
use modlogic::mkdfinfo::text::{self, Form, Header};
use proptest::prelude::*;

const HEADER: Header<'_> = Header {
    osrelease: "7.3.4+deb13-amd64",
    build_id: "b399",
    page_size: 4096,
    kernel_offset: 0x3280_0000,
};

fn write(form: Form, values: &[Value]) -> String {
    let mut out = String::new();
    text::write(&mut out, form, &HEADER, values).expect("writing to a String");
    out
}

/// Values that say `value(key)` for every key.
fn values(value: impl Fn(Kind) -> i64) -> Vec<Value> {
    KEYS.iter()
        .map(|key| {
            let mut v = Value::default();
            v.say(Source::Btf, Some(value(key.kind)));
            v
        })
        .collect()
}

#[test]
fn build_form_has_nothing_of_this_boot() {
    let text = write(Form::Build, &values(|_| 1));
    assert!(
        text.starts_with("OSRELEASE=7.3.4+deb13-amd64\nBUILD-ID=b399\nPAGESIZE=4096\n"),
        "{text}"
    );
    assert!(
        !text.contains("KERNELOFFSET") && !text.contains("phys_base"),
        "{text}"
    );
    let build_keys = KEYS.iter().filter(|key| key.scope == Scope::Build).count();
    assert_eq!(text.lines().count(), 3 + build_keys);
}

#[test]
fn boot_form_moves_symbols_and_prefers_this_boot_s_values() {
    let mut all = values(|_| 1);
    for (key, value) in KEYS.iter().zip(&mut all) {
        match (key.kind, key.name, key.scope) {
            (Kind::Symbol, "prb", _) | (Kind::Symbol, "mem_section", Scope::Build) => {
                value.say(Source::Btf, Some(0xffff_ffff_8328_30a0_u64 as i64));
            }
            (Kind::Symbol, "mem_section", Scope::Boot) => {
                value.say(Source::Btf, Some(0xff1f_da27_3e0e_7f40_u64 as i64))
            }
            (_, "VMALLOC_START", _) => {
                value.say(Source::Btf, Some(0xff4a_6657_0000_0000_u64 as i64))
            }
            _ => {}
        }
    }
    let boot = write(Form::Boot, &all);
    assert!(boot.contains("SYMBOL(prb)=ffffffffb5a830a0\n"), "{boot}");
    assert!(
        boot.contains("SYMBOL(mem_section)=ff1fda273e0e7f40\n"),
        "{boot}"
    );
    assert_eq!(boot.matches("SYMBOL(mem_section)").count(), 1, "{boot}");
    assert!(
        boot.contains("NUMBER(VMALLOC_START)=0xff4a665700000000\n"),
        "{boot}"
    );
    assert!(boot.ends_with("KERNELOFFSET=32800000\n"), "{boot}");
    let build = write(Form::Build, &all);
    assert!(
        build.contains("SYMBOL(prb)=ffffffff832830a0\n")
            && build.contains("SYMBOL(mem_section)=ffffffff832830a0\n")
    );
}

#[test]
fn withheld_and_absent_keys_are_left_out() {
    let mut all = vec![Value::default(); KEYS.len()];
    all[0].say(Source::Note, Some(1));
    all[0].say(Source::Btf, Some(2));
    assert_eq!(write(Form::Build, &all).lines().count(), 3);
}

#[test]
fn longest_text_is_below_eight_kilobytes() {
    for form in [Form::Build, Form::Boot] {
        let text = write(
            form,
            &values(|kind| {
                if kind == Kind::Symbol {
                    -1
                } else {
                    i64::from(i32::MIN)
                }
            }),
        );
        assert!(text.len() < 8192, "{} bytes", text.len());
    }
}

/// An ELF note as the kernel writes it.
fn elf_note(name: &[u8], len: u32, contents: &[u8]) -> Vec<u8> {
    let mut note = Vec::new();
    for word in [name.len() as u32, len, 0] {
        note.extend(word.to_ne_bytes());
    }
    note.extend(name);
    note.resize(note.len().next_multiple_of(4), 0);
    note.extend(contents);
    note
}

#[test]
fn note_is_taken_out_of_its_wrapping() {
    let text = b"OSRELEASE=7.3.4\nSYMBOL(prb)=ffff\n";
    assert_eq!(
        note::contents(&elf_note(b"VMCOREINFO\0", text.len() as u32, text)),
        Some(&text[..])
    );
    assert_eq!(
        note::contents(&elf_note(b"CORE\0", text.len() as u32, text)),
        None,
        "another note"
    );
    assert_eq!(
        note::contents(&elf_note(b"VMCOREINFO\0", 5000, text)),
        None,
        "longer than a page"
    );
    assert_eq!(
        note::contents(&elf_note(b"VMCOREINFO\0", 64, text)),
        None,
        "longer than it is"
    );
    assert_eq!(note::contents(&[]), None);
}

#[test]
fn lines_are_matched_whole() {
    let text = b"SYMBOL(prb_x)=1\nSYMBOL(prb)=2\nSYMBOL(prb)=3\nKERNELOFFSET=4\nNUMBER(a)=-5\n";
    assert_eq!(
        note::value(text, "SYMBOL", "prb"),
        Some("2"),
        "the first, as for makedumpfile"
    );
    assert_eq!(note::value(text, "", "KERNELOFFSET"), Some("4"));
    assert_eq!(note::value(text, "SYMBOL", "pr"), None);
    assert_eq!(note::number("-5"), Some(-5));
    assert_eq!(
        note::number("0xff4a665700000000"),
        Some(0xff4a_6657_0000_0000_u64 as i64)
    );
    assert_eq!(note::hex("0x10"), None);
    assert_eq!(note::hex("-1"), None);
}

proptest! {
    #[test]
    fn any_note_gives_contents_or_none(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = note::contents(&bytes);
        let _ = note::value(&bytes, "SYMBOL", "prb");
    }
}
