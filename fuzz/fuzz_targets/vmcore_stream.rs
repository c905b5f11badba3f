// SPDX-License-Identifier: GPL-2.0-or-later
//! A flattened stream, read from a pipe and as a file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmcore::flattened::{Flattened, rearrange};

fuzz_target!(|data: &[u8]| {
    let mut written = 0;
    let whole = rearrange(data, |_, part| {
        written += part.len();
        Ok(())
    });
    assert!(written <= data.len());
    // Both see the same stream whole; behind its end mark a pipe is not read.
    assert_eq!(whole.is_ok(), Flattened::new(data.to_vec()).is_ok());
});
