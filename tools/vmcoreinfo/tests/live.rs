// SPDX-License-Identifier: GPL-2.0-or-later
//! Core files, /proc/kallsyms, kernel files: what comes from outside, good and bad.

use proptest::prelude::*;
use std::io::Cursor;
use vmcoreinfo::facts::{Form, Source};
use vmcoreinfo::{Facts, live, vmlinux};

const NOTE: &str = "OSRELEASE=7.3.4\nBUILD-ID=b399\nPAGESIZE=4096\nSYMBOL(prb)=ffffffffb5a830a0\n\
                    OFFSET(page.flags)=0\nKERNELOFFSET=32800000\n";

/// An ELF core file with one PT_NOTE segment.
fn core(notes: &[u8]) -> Vec<u8> {
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    file.extend([4, 0, 62, 0, 1, 0, 0, 0]);
    for word in [0_u64, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    file.extend([4, 0, 0, 0, 4, 0, 0, 0]);
    for word in [120_u64, 0, 0, notes.len() as u64, notes.len() as u64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(notes);
    file
}

fn elf_note(name: &[u8], contents: &[u8]) -> Vec<u8> {
    let mut note = Vec::new();
    for word in [name.len() as u32, contents.len() as u32, 0] {
        note.extend(word.to_le_bytes());
    }
    for part in [name, contents] {
        note.extend(part);
        note.resize(note.len().next_multiple_of(4), 0);
    }
    note
}

#[test]
fn note_is_found_among_others() {
    let notes = [
        elf_note(b"CORE\0", &[1; 300]),
        elf_note(b"VMCOREINFO\0", NOTE.as_bytes()),
    ]
    .concat();
    let found = live::note_of_core(Cursor::new(core(&notes))).unwrap();
    assert_eq!(found, NOTE.as_bytes());
    let other = core(&elf_note(b"CORE\0", &[1; 300]));
    assert!(
        live::note_of_core(Cursor::new(other))
            .unwrap_err()
            .contains("no VMCOREINFO note")
    );
}

#[test]
fn truncated_core_is_an_error() {
    let whole = core(&elf_note(b"VMCOREINFO\0", NOTE.as_bytes()));
    for len in 0..whole.len() - 4 {
        assert!(
            live::note_of_core(Cursor::new(&whole[..len])).is_err(),
            "{len} bytes"
        );
    }
}

#[test]
fn kallsyms_leaves_modules_out_and_names_bad_lines() {
    let text = b"ffffffff81000000 T _stext\nffffffffc0000000 t init\t[ext4]\n";
    assert_eq!(
        live::kallsyms(text).unwrap(),
        [(&b"_stext"[..], 0xffff_ffff_8100_0000)]
    );
    let error = live::kallsyms(b"ffffffff81000000 T _stext\nrubbish\n")
        .unwrap_err()
        .to_string();
    assert!(error.contains("line 2"), "{error}");
    let error = live::kallsyms(b"0000000000000000 T _stext\n")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("hidden") && error.contains("kptr_restrict"),
        "{error}"
    );
}

#[test]
fn facts_of_note_and_symbols_agree_or_conflict() {
    let mut facts = Facts::from_note(NOTE.as_bytes()).unwrap();
    facts.add_symbols(
        Source::Kallsyms,
        [
            (&b"prb"[..], 0xffff_ffff_b5a8_30a0),
            (b"init_task", 0xffff_ffff_b580_0000),
        ],
    );
    assert!(facts.conflicts().is_empty());
    assert_eq!(
        facts.to_text(Form::Build),
        "OSRELEASE=7.3.4\nBUILD-ID=b399\nPAGESIZE=4096\nOFFSET(page.flags)=0\nSYMBOL(prb)=ffffffff832830a0\n\
         SYMBOL(init_task)=ffffffff83000000\n"
    );
    facts.add_symbols(Source::Vmlinux, [(&b"prb"[..], 0xffff_ffff_b5a8_30a8)]);
    let conflicts = facts.conflicts();
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0].key.to_string(), "SYMBOL(prb)");
    assert!(!facts.to_text(Form::Boot).contains("prb"));
}

#[test]
fn notes_that_are_none_are_refused() {
    let error = |note: &[u8]| Facts::from_note(note).unwrap_err().to_string();
    assert!(error(b"OSRELEASE=7.3.4\nPAGESIZE=4096\n").contains("KERNELOFFSET"));
    assert!(error(b"PAGESIZE=4096\n").contains("OSRELEASE"));
    assert!(error(b"OSRELEASE=x\nPAGESIZE=many\n").contains("line 2"));
    let mut facts = Facts::from_note(NOTE.as_bytes()).unwrap();
    assert!(
        facts
            .add_btf(b"no BTF")
            .unwrap_err()
            .to_string()
            .contains("Magic")
    );
}

#[test]
fn files_that_are_no_kernel_are_refused() {
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert!(vmlinux::parse(&own).unwrap_err().contains("linux_banner"));
    assert!(vmlinux::parse(b"rubbish").is_err());
    let missing = vmlinux::read("/nonexistent/vmlinux".as_ref())
        .unwrap_err()
        .to_string();
    assert!(missing.contains("/nonexistent/vmlinux"), "{missing}");
}

proptest! {
    #[test]
    fn any_core_gives_a_note_or_an_error(damage in prop::collection::vec((0usize..300, any::<u8>()), 1..6)) {
        let mut file = core(&elf_note(b"VMCOREINFO\0", NOTE.as_bytes()));
        for (at, byte) in damage {
            let len = file.len();
            file[at % len] = byte;
        }
        let _ = live::note_of_core(Cursor::new(file));
    }

    #[test]
    fn any_text_gives_symbols_or_an_error(text in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = live::kallsyms(&text);
    }
}
