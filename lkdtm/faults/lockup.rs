// SPDX-License-Identifier: GPL-2.0

//! Something stops for ever.

use core::{hint::spin_loop, ptr::null_mut};
use kdump::{context, task};
use kernel::{bindings, ffi::c_void};

/// In a probe handler, preemption is off as well.
pub(super) fn endless_loop() -> ! {
    // For a task this makes a soft lockup of what would only be a busy task.
    context::preempt_disable();
    loop {
        spin_loop();
    }
}

pub(super) fn hard() -> ! {
    context::irqs_disable();
    endless_loop()
}

/// Interrupt handler for another CPU: never returns.
pub(super) extern "C" fn hang(_arg: *mut c_void) {
    hard()
}

/// The first call makes another CPU hang, the second waits for it.
// `wait` is an int in 7.2 and a bool in 7.3.
#[allow(clippy::useless_conversion)]
pub(super) fn smp_call() {
    let here = task::cpu();
    let other = i32::from(here == 0);
    for wait in [false, true] {
        // SAFETY: the callback takes no argument; an offline CPU is refused.
        unsafe { bindings::smp_call_function_single(other, Some(hang), null_mut(), wait.into()) };
    }
}

pub(super) fn hung_task() -> ! {
    loop {
        // SAFETY: only DIRECT gets here: a task that may sleep.
        unsafe { bindings::schedule_timeout_uninterruptible(core::ffi::c_long::MAX as isize) };
    }
}
