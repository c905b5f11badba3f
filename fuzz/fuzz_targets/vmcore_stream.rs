// SPDX-License-Identifier: GPL-2.0-or-later
//! A flattened stream, read from a pipe and as a file. What does not begin as one gets the header before it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmcore::flattened::{Flattened, rearrange};

const HEADER_BYTES: usize = 4096;

fuzz_target!(|data: &[u8]| {
    let mut headed = [0; HEADER_BYTES].to_vec();
    headed[..12].copy_from_slice(b"makedumpfile");
    (headed[23], headed[31]) = (1, 1);
    headed.extend(data);
    let data = if data.starts_with(b"makedumpfile") { data } else { &headed };
    let mut written = 0;
    let whole = rearrange(data, |_, part| {
        written += part.len();
        Ok(())
    });
    assert!(written <= data.len());
    // Both see the same stream whole; behind its end mark a pipe is not read.
    assert_eq!(whole.is_ok(), Flattened::new(data.to_vec()).is_ok());
});
