// SPDX-License-Identifier: GPL-2.0-or-later
//! A kernel file with DWARF.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = vmcoreinfo::vmlinux::parse(data);
});
