// SPDX-License-Identifier: GPL-2.0-or-later
//! BTF, as mkdfinfo.ko and kdumpkit read it. What does not begin with the magic is taken for types and strings, and gets a
//! header that fits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use modlogic::mkdfinfo::btf::{Btf, INDEX_LEN};
use modlogic::mkdfinfo::collect::{Types, Value, say_btf};
use modlogic::mkdfinfo::keys::KEYS;

/// Header (linux/btf.h: magic, version, flags, its length, places of types and strings), types, strings.
fn headed(types: &[u8], strings: &[u8]) -> Vec<u8> {
    let mut out = vec![0x9f, 0xeb, 1, 0];
    for word in [24, 0, types.len(), types.len(), strings.len()] {
        out.extend((word as u32).to_le_bytes());
    }
    [&out, types, strings].concat()
}

fuzz_target!(|data: (&[u8], &[u8])| {
    let whole = match data.0.starts_with(&[0x9f, 0xeb]) {
        true => data.0.to_vec(),
        false => headed(data.0, data.1),
    };
    let data = whole.as_slice();
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
