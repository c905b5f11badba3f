// SPDX-License-Identifier: GPL-2.0

//! What the kernel crate's `debugfs` does not offer.
//!
//! C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h)

use core::ptr::null_mut;
use kernel::{bindings, prelude::*};

/// Whether debugfs has an entry `name` at its top.
///
/// Context: task, may sleep.
pub fn exists(name: &CStr) -> bool {
    // SAFETY: the name is NUL-terminated; no parent means the top. The reference that comes back is given up.
    unsafe {
        let dentry = bindings::debugfs_lookup(name.as_char_ptr(), null_mut());
        if !dentry.is_null() {
            bindings::dput(dentry);
        }
        !dentry.is_null()
    }
}
