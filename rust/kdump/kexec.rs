// SPDX-License-Identifier: GPL-2.0

//! The capture kernel.
//!
//! C header: [`include/linux/kexec.h`](srctree/include/linux/kexec.h)

/// Whether a capture kernel is loaded, so that a panic ends in a dump.
///
/// Context: any.
pub fn crash_loaded() -> bool {
    // SAFETY: reads a global pointer.
    unsafe { crate::bindings::kexec_crash_loaded() != 0 }
}
