// SPDX-License-Identifier: GPL-2.0-or-later
//! BTF, as mkdfinfo.ko and kdumpkit read it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use modlogic::mkdfinfo::btf::{Btf, INDEX_LEN};
use modlogic::mkdfinfo::collect::{Types, Value, say_btf};
use modlogic::mkdfinfo::keys::KEYS;

fuzz_target!(|data: &[u8]| {
    let mut marks = vec![0; INDEX_LEN];
    let mut values = vec![Value::default(); KEYS.len()];
    let _ = say_btf(&mut values, data, &mut marks, &mut Types::default());
    let Ok(index) = Btf::parse(data).and_then(|btf| btf.index(&mut marks, |_, _| {})) else {
        return;
    };
    for id in 0..index.count().min(64) + 2 {
        let _ = (index.size(id), index.array_len(id), index.member(id, "flags"), index.enumerator(id, "PG_lru"));
    }
});
