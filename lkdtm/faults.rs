// SPDX-License-Identifier: GPL-2.0

//! The faults themselves: each breaks the kernel on purpose, so `unsafe` here argues why it breaks, and as advertised.
//!
//! One file per family of `types`. Everything may run in a probe handler: in any context, with any lock held.

mod access;
pub(crate) mod elsewhere;
mod hold;
mod lockup;
mod memory;
mod report;
mod stack;

use crate::spec::Spec;
use crate::types::{Fault, RunIn};
pub(crate) use hold::init as init_locks;

/// Takes the lock, goes to the context and does the fault that `spec` says. Most do not return; a caller must not rely
/// on either.
pub(crate) fn run(spec: &Spec) {
    hold::take(spec.lock);
    match spec.run_in {
        RunIn::Same => act(spec.kind.fault, spec.recur_count),
        RunIn::IrqsOff => {
            kdump::context::irqs_disable();
            act(spec.kind.fault, spec.recur_count);
        }
        _ => elsewhere::run(spec.run_in, spec.kind.fault, spec.recur_count),
    }
}

/// Does `fault` here. `recur_count` is the number of recursions of [`Fault::Overflow`].
fn act(fault: Fault, recur_count: u32) {
    match fault {
        Fault::None => {}
        Fault::Panic => report::panic(),
        Fault::Bug => report::bug(),
        Fault::Warning => report::warning(),
        Fault::WarningMessage => report::warning_message(),
        Fault::Exception => report::exception(),
        Fault::ArrayBounds => report::array_bounds(),
        Fault::Overflow => {
            stack::overflow(recur_count);
        }
        Fault::CorruptStack => stack::corrupt(),
        Fault::CorruptStackStrong => stack::corrupt_strong(),
        Fault::StackGuardLeading => stack::guard_leading(),
        Fault::StackGuardTrailing => stack::guard_trailing(),
        Fault::StackPointer => stack::double_fault(),
        Fault::Loop | Fault::SoftLockup => lockup::endless_loop(),
        Fault::HardLockup => lockup::hard(),
        Fault::SmpCallLockup => lockup::smp_call(),
        Fault::SpinLockup => hold::spinlock_twice(),
        Fault::HungTask => lockup::hung_task(),
        Fault::ExecData => access::exec_data(),
        Fault::ExecStack => access::exec_stack(),
        Fault::ExecRodata => access::exec_rodata(),
        Fault::ExecNull => access::exec_null(),
        Fault::AccessUserspace => access::access_userspace(),
        Fault::AccessNull => access::access_null(),
        Fault::WriteRo => access::write_ro(),
        Fault::WriteKern => access::write_kern(),
        Fault::WriteAfterFree => memory::write_after_free(),
        Fault::ReadAfterFree => memory::read_after_free(),
        Fault::SlabFreeDouble => memory::free_double(),
        Fault::CorruptListAdd => memory::corrupt_list_add(),
        Fault::CorruptListDel => memory::corrupt_list_del(),
    }
}
