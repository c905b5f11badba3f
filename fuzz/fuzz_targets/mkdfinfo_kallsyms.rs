// SPDX-License-Identifier: GPL-2.0-or-later
//! The kernel's symbol tables, and the text of /proc/kallsyms.
#![no_main]

use libfuzzer_sys::fuzz_target;
use modlogic::mkdfinfo::kallsyms::{Found, Tables};

fuzz_target!(|data: (u32, &[u8], &[u8], [u8; 512], &[u8])| {
    let (num_syms, names, token_table, token_index, text) = data;
    let tables =
        Tables { num_syms, names, token_table, token_index: &token_index, offsets: names, offsets_address: 1 << 63 };
    let wanted = ["a", "ab", "init_task", "prb"];
    let mut found = [Found::default(); 4];
    let in_one_pass = tables.find(&wanted, &mut found);
    let mut counts = [0; 4];
    let one_by_one = tables.walk(|symbol| {
        if let Some(i) = wanted.iter().position(|name| name.as_bytes() == symbol.name) {
            counts[i] += 1;
        }
    });
    if in_one_pass.is_ok() && one_by_one.is_ok() {
        assert_eq!(found.map(|found| found.count), counts);
    }
    let _ = vmcoreinfo::live::kallsyms(text);
});
