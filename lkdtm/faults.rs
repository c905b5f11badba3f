// SPDX-License-Identifier: GPL-2.0

//! The faults themselves: each breaks the kernel on purpose, so `unsafe` here argues why it breaks, and as advertised.
//!
//! One file per family of [`crate::types`]. Everything may run in a probe handler: in any context, with any lock held.

mod lockup;
mod report;
mod stack;

use crate::types::Fault;

/// Does `fault`. Most do not return; a caller must not rely on either.
///
/// `recur_count` is the number of recursions of [`Fault::Overflow`].
pub(crate) fn run(fault: Fault, recur_count: u32) {
    match fault {
        Fault::None => {}
        Fault::Panic => report::panic(),
        Fault::Bug => report::bug(),
        Fault::Exception => report::exception(),
        Fault::Overflow => {
            stack::overflow(recur_count);
        }
        Fault::Loop => lockup::endless_loop(),
    }
}
