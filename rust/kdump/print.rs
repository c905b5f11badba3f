// SPDX-License-Identifier: GPL-2.0

//! Printing where pr_*! must not: with any lock held, the scheduler's and the consoles' among them.
//!
//! C header: [`include/linux/printk.h`](srctree/include/linux/printk.h)

use crate::{bindings, context};
use kernel::{ffi::c_int, prelude::*};

/// Logs `MODULE: MESSAGE context=… irqs=… cpu=… pid=… comm=…` at level alert.
///
/// The record goes to the log buffer only; the consoles get it later, or from panic().
///
/// Context: any, NMI included.
pub fn alert_deferred(module: &CStr, message: &CStr) {
    let irqs = match context::irqs_disabled() {
        true => c"off",
        false => c"on",
    };
    // SAFETY: all strings are NUL-terminated and live during the call, and the format matches the arguments. The
    // current task does not go away while it runs this; its comm is always terminated.
    unsafe {
        let task = kernel::bindings::get_current();
        bindings::kdump_helper_printk_deferred(
            c"\x011%s: %s context=%s irqs=%s cpu=%d pid=%d comm=%s\n".as_char_ptr(),
            module.as_char_ptr(),
            message.as_char_ptr(),
            context::Context::current().name().as_char_ptr(),
            irqs.as_char_ptr(),
            bindings::kdump_helper_cpu() as c_int,
            (*task).pid,
            (*task).comm.as_ptr(),
        );
    }
}
