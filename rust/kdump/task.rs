// SPDX-License-Identifier: GPL-2.0

//! Who runs here: for probe handlers, so without locks, references and calls into instrumented code.
//!
//! C header: [`include/linux/sched.h`](srctree/include/linux/sched.h)

use crate::bindings;

/// The number of this CPU; it may change right away unless preemption is off.
#[inline(always)]
pub fn cpu() -> u32 {
    // SAFETY: reads a per-CPU variable.
    unsafe { bindings::kdump_helper_cpu() }
}

/// ID and name of the current task. The name may be half of an old and half of a new one while it changes.
#[inline(always)]
pub fn current() -> (i32, [u8; 16]) {
    // SAFETY: the current task does not go away while it runs this. The name is copied as plain bytes, whoever may
    // write it meanwhile.
    unsafe {
        let task = bindings::kdump_helper_current();
        (
            (&raw const (*task).pid).read_volatile(),
            (&raw const (*task).comm).cast::<[u8; 16]>().read_volatile(),
        )
    }
}
