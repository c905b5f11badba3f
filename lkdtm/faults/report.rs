// SPDX-License-Identifier: GPL-2.0

//! The kernel notices at once and says so.

use core::{hint::black_box, ptr::null_mut};
use kernel::{bindings, prelude::*};

/// The text of the kernel's own LKDTM.
pub(super) fn panic() -> ! {
    // SAFETY: the format is a C string without conversions; panic() may be called in any context.
    unsafe { bindings::panic(c"dumptest".as_char_ptr()) }
}

pub(super) fn bug() -> ! {
    kdump::bug()
}

pub(super) fn warning() {
    kernel::warn_on!(black_box(true));
}

pub(super) fn warning_message() {
    kdump::print::alert_deferred(c"lkdtm", c"Warning message trigger");
    kernel::warn_on!(black_box(true));
}

pub(super) fn exception() {
    // SAFETY: none; address 0 is never mapped in the kernel, and the page fault is the purpose. Volatile and an address
    // the compiler cannot see, so that it really emits the store.
    unsafe { black_box(null_mut::<i32>()).write_volatile(0) };
}

/// Rust checks the index itself and panics, which in the kernel is BUG().
pub(super) fn array_bounds() {
    let array = [0u8; 8];
    black_box(black_box(&array)[black_box(8)]);
}
