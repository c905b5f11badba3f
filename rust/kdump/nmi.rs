// SPDX-License-Identifier: GPL-2.0

//! Non-maskable interrupts for ourselves.
//!
//! C header: [`arch/x86/include/asm/nmi.h`](srctree/arch/x86/include/asm/nmi.h)

use crate::bindings;
use core::ptr::addr_of_mut;
use kernel::{bindings::pt_regs, error::to_result, ffi::c_int, prelude::*, types::Opaque};

/// What happens in an NMI.
pub trait Handler {
    /// Returns whether the NMI was for us.
    ///
    /// Context: NMI. Any lock may be held by what was interrupted.
    fn nmi() -> bool;
}

/// A registered NMI handler; dropping it unregisters it and waits for those that still run.
#[pin_data(PinnedDrop)]
pub struct Registration {
    name: &'static CStr,
    #[pin]
    action: Opaque<bindings::nmiaction>,
}

// SAFETY: nothing is done with the action but registering and unregistering it, which the kernel serialises.
unsafe impl Send for Registration {}
// SAFETY: as above.
unsafe impl Sync for Registration {}

impl Registration {
    /// Registers `H` for local NMIs under `name`, which must be unique in the kernel.
    ///
    /// Context: task.
    pub fn new<H: Handler>(name: &'static CStr) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            name,
            action <- Opaque::try_ffi_init(|action: *mut bindings::nmiaction| {
                // SAFETY: `action` points to memory for an action that nobody else sees yet; the list head points to
                // itself, as the kernel's macro leaves it.
                unsafe {
                    action.write(bindings::nmiaction {
                        handler: Some(handle::<H>),
                        name: name.as_char_ptr(),
                        ..Default::default()
                    });
                    let list = addr_of_mut!((*action).list);
                    (*list).next = list;
                    (*list).prev = list;
                }
                // SAFETY: initialised, pinned, and it lives until `drop` unregisters it.
                to_result(unsafe { bindings::__register_nmi_handler(bindings::NMI_LOCAL, action) })
            }),
        }? Error)
    }
}

#[pinned_drop]
impl PinnedDrop for Registration {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: registered under this name in `new`. Waits for a grace period, so no CPU runs the handler afterwards.
        unsafe { bindings::unregister_nmi_handler(bindings::NMI_LOCAL, self.name.as_char_ptr()) };
    }
}

#[link_section = ".kprobes.text"]
extern "C" fn handle<H: Handler>(_kind: u32, _regs: *mut pt_regs) -> c_int {
    H::nmi().into()
}

/// Sends this CPU an NMI; false if this machine has no way to. It arrives within a few instructions, but not inside of
/// another NMI.
///
/// Context: any.
pub fn send_self() -> bool {
    // SAFETY: writes to the local APIC.
    unsafe { bindings::kdump_helper_nmi_self() }
}
