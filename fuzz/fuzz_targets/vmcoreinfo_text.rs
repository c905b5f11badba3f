// SPDX-License-Identifier: GPL-2.0-or-later
//! The VMCOREINFO text: notes and -i files, alone and laid over each other.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmcoreinfo::Vmcoreinfo;

fuzz_target!(|data: (&[u8], &[u8])| {
    let (Ok(note), Ok(file)) = (Vmcoreinfo::parse(data.0), Vmcoreinfo::parse(data.1)) else {
        return;
    };
    let again = Vmcoreinfo::parse(note.to_text().as_bytes()).expect("our own text");
    assert_eq!(note.entries(), again.entries());
    if let Ok(merged) = note.overlay(&file) {
        assert!(merged.entries().len() >= note.entries().len());
    }
});
