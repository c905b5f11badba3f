// SPDX-License-Identifier: GPL-2.0

//! Stack frames with a canary: Rust code in the kernel is not built with -fstack-protector, C code is.

use crate::bindings;
use kernel::ffi::c_void;

/// What to do with a buffer of 8 bytes.
pub type Smash = unsafe extern "C" fn(buffer: *mut c_void);

/// Calls `smash` with an array on the stack, which every level of the stack protector guards.
pub fn with_guarded_array(smash: Smash) {
    // SAFETY: C code calls back with a live buffer; what the callback does to it is the caller's purpose.
    unsafe { bindings::kdump_helper_guarded_array(Some(smash)) }
}

/// Calls `smash` with an object on the stack that is no array: only -fstack-protector-strong guards it.
pub fn with_guarded_object(smash: Smash) {
    // SAFETY: as above.
    unsafe { bindings::kdump_helper_guarded_object(Some(smash)) }
}
