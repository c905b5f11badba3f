// SPDX-License-Identifier: GPL-2.0-or-later
//! The kernel's note: inside an ELF core file, inside its ELF wrapping, and as the source of facts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use modlogic::mkdfinfo::note;
use std::io::Cursor;
use vmcoreinfo::facts::Form;
use vmcoreinfo::{Facts, Vmcoreinfo, live};

fuzz_target!(|data: &[u8]| {
    let _ = live::note_of_core(Cursor::new(data));
    let _ = note::contents(data);
    if let Ok(facts) = Facts::from_note(data) {
        for form in [Form::Build, Form::Boot] {
            Vmcoreinfo::parse(facts.to_text(form).as_bytes()).expect("our own text");
        }
    }
});
