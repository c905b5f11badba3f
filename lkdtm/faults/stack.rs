// SPDX-License-Identifier: GPL-2.0

//! The stack overflows or is overwritten.

use core::hint::black_box;

/// Stack used by each level of [`overflow`], a little more with the frame itself.
const LEVEL_BYTES: usize = 1024;

/// Recurses `levels` times. With a guard page behind the stack (CONFIG_VMAP_STACK) the kernel sees the overflow.
#[inline(never)]
pub(super) fn overflow(levels: u32) -> u8 {
    let mut level = [0u8; LEVEL_BYTES];
    // Touches the buffer, so that it exists.
    black_box(&mut level)[0] = levels as u8;
    let deeper = match levels {
        0 | 1 => 0,
        _ => overflow(levels - 1),
    };
    // Reads the buffer after the call, so that this is no tail call and the levels do not share it.
    black_box(&level)[0].wrapping_add(deeper)
}
