// SPDX-License-Identifier: GPL-2.0

//! What the modules of kdumpkit need of the kernel and its `kernel` crate does not offer.
//!
//! The object is linked into each module (see Kbuild), so the crate holds no statics: each module would get its own.
//! One room per C header:
//!
//! - [`context`]: where am I running (task, softirq, hard interrupt, NMI)?
//! - [`debugfs`]: does an entry exist?
//! - [`image`]: constant tables and variables of the kernel's image, by address; its VMCOREINFO note.
//! - [`kexec`]: is a capture kernel loaded?
//! - [`kprobe`]: run code when a kernel function is entered.
//! - [`layout`]: sizes and offsets that the kernel's headers say.
//! - [`locks`]: take well-known locks and never give them back.
//! - [`module`]: other modules that come and go.
//! - [`nmi`]: non-maskable interrupts for ourselves.
//! - [`param`]: module parameters, strings among them.
//! - [`pci`], [`pci_reset`], [`pci_shield`]: all PCI functions, resetting them, and what must not notice.
//! - [`sysfs`]: directories of read-only files.
//! - [`print`]: log in places where `pr_*!` may deadlock.
//! - [`stack`]: frames that the stack protector guards.
//! - [`sysctl`]: read settings below /proc/sys.
//! - [`task`]: the current CPU and task, for probe handlers.
//!
//! `unsafe` lives here, so that the module folders (but lkdtm/faults, which breaks the machine on purpose) do without.

#![deny(missing_docs)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![deny(unsafe_op_in_unsafe_fn)]

#[path = "kdump/context.rs"]
pub mod context;
#[path = "kdump/debugfs.rs"]
pub mod debugfs;
#[path = "kdump/image.rs"]
pub mod image;
#[path = "kdump/kexec.rs"]
pub mod kexec;
#[path = "kdump/kprobe.rs"]
pub mod kprobe;
#[path = "kdump/layout.rs"]
pub mod layout;
#[path = "kdump/locks.rs"]
pub mod locks;
#[path = "kdump/module.rs"]
pub mod module;
#[path = "kdump/nmi.rs"]
pub mod nmi;
#[path = "kdump/param.rs"]
pub mod param;
#[path = "kdump/pci.rs"]
pub mod pci;
#[path = "kdump/pci_reset.rs"]
pub mod pci_reset;
#[path = "kdump/pci_shield.rs"]
pub mod pci_shield;
#[path = "kdump/print.rs"]
pub mod print;
#[path = "kdump/stack.rs"]
pub mod stack;
#[path = "kdump/sysctl.rs"]
pub mod sysctl;
#[path = "kdump/sysfs.rs"]
pub mod sysfs;
#[path = "kdump/task.rs"]
pub mod task;

#[allow(
    clippy::all,
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unsafe_op_in_unsafe_fn,
    improper_ctypes,
    unreachable_pub
)]
#[allow(clippy::undocumented_unsafe_blocks)]
mod bindings {
    use kernel::{bindings::*, ffi};
    use pin_init::MaybeZeroable;
    include!(concat!(env!("KDUMP_OBJ"), "/rust/bindings_generated.rs"));
}

/// The prefix that `pr_*!` needs in every crate; messages of this crate are the exception, the modules speak.
const __LOG_PREFIX: &[u8] = b"kdump\0";

/// Whether `reset_devices` is on the kernel's command line: drivers shall not trust the state of their devices.
///
/// Context: any.
///
/// C header: [`include/linux/init.h`](srctree/include/linux/init.h)
pub fn reset_devices() -> bool {
    // SAFETY: reads a global that is constant after boot.
    unsafe { kernel::bindings::reset_devices != 0 }
}

/// Whether this kernel was booted to capture a dump of a crashed one.
///
/// Context: any.
///
/// C header: [`include/linux/crash_dump.h`](srctree/include/linux/crash_dump.h)
pub fn is_kdump_kernel() -> bool {
    // SAFETY: reads a global that is constant after boot.
    unsafe { bindings::kdump_helper_is_kdump_kernel() }
}

/// Whether the current task may see kernel addresses: `CAP_SYSLOG`, in the initial user namespace.
///
/// Context: process.
///
/// C header: [`include/linux/capability.h`](srctree/include/linux/capability.h)
pub fn has_cap_syslog() -> bool {
    // SAFETY: asks about the current task.
    unsafe { kernel::bindings::capable(kernel::bindings::CAP_SYSLOG as i32) }
}

/// BUG(): the kernel reports the place and kills the task, or panics.
///
/// Context: any.
///
/// C header: [`include/linux/bug.h`](srctree/include/linux/bug.h)
pub fn bug() -> ! {
    // SAFETY: takes nothing, does not return.
    unsafe { bindings::kdump_helper_bug() }
}

/// Removes an entry from a list.
///
/// # Safety
///
/// `entry` is in a list that nobody else changes.
///
/// Context: any.
///
/// C header: [`include/linux/list.h`](srctree/include/linux/list.h)
pub unsafe fn list_del(entry: *mut kernel::bindings::list_head) {
    // SAFETY: by the caller's promise.
    unsafe { bindings::kdump_helper_list_del(entry) }
}
