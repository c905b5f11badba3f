// SPDX-License-Identifier: GPL-2.0-or-later
//! Compressed pages: any bytes as any codec, and what our LZO1X encoder makes of them decoded again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmcore::codec::{Codec, Decoder, Encoder, WORST_CASE_BYTES};

fuzz_target!(|data: &[u8]| {
    let mut decoder = Decoder::default();
    let mut page = [0; 4096];
    for codec in Codec::ALL {
        let _ = decoder.decode(codec, data, &mut page);
    }
    let length = data.len().min(page.len());
    page.fill(0);
    page[..length].copy_from_slice(&data[..length]);
    let mut out = vec![0; WORST_CASE_BYTES];
    let (codec, bytes) = Encoder::new(Codec::Lzo, None).encode(&page, &mut out);
    let mut again = [0xee; 4096];
    decoder.decode(codec, &out[..bytes], &mut again).expect("our own stream");
    assert!(again == page);
});
