// SPDX-License-Identifier: GPL-2.0

//! Other modules: whether they are loaded, and hearing of it when they come and go.
//!
//! C header: [`include/linux/module.h`](srctree/include/linux/module.h)

use core::ptr::null_mut;
use kernel::{
    bindings::{self, notifier_block},
    container_of,
    error::to_result,
    ffi::{c_int, c_ulong, c_void},
    prelude::*,
    str::CString,
    types::Opaque,
};

/// Whether a module of this name is loaded, or just being loaded; not if it is built in.
///
/// The answer may be out of date at once. Without sysfs at /sys it is always no.
///
/// Context: task, may sleep.
pub fn is_loaded(name: &str) -> bool {
    // Only a module in the proper sense has this file.
    let Ok(path) = CString::try_from_fmt(fmt!("/sys/module/{name}/initstate")) else {
        return false;
    };
    // SAFETY: the path is NUL-terminated.
    let file = unsafe { bindings::filp_open(path.as_char_ptr(), bindings::O_RDONLY as i32, 0) };
    let Ok(file) = kernel::error::from_err_ptr(file) else {
        return false;
    };
    // SAFETY: just opened, not used any more.
    unsafe { bindings::filp_close(file, null_mut()) };
    true
}

/// Who hears of modules.
pub trait Watcher: Send + Sync {
    /// A module is in place, with its functions traceable, and about to be initialised.
    ///
    /// Context: task, may sleep. No module can register a watcher meanwhile.
    fn coming(&self, module: &str);

    /// A module has been shut down, or has failed to start, and its memory is about to be freed.
    ///
    /// Context: as [`Self::coming`].
    fn going(&self, module: &str);
}

/// A registered watcher; dropping it unregisters it and waits for a call that still runs.
///
/// # Invariants
///
/// `block` is registered with the kernel.
#[pin_data(PinnedDrop)]
pub struct Watch<W: Watcher> {
    watcher: W,
    #[pin]
    block: Opaque<notifier_block>,
}

// SAFETY: nothing is done with the block but registering and unregistering it, which the kernel serialises; W is Send.
unsafe impl<W: Watcher> Send for Watch<W> {}
// SAFETY: as above; the watcher is only reached through shared references, and is Sync.
unsafe impl<W: Watcher> Sync for Watch<W> {}

impl<W: Watcher> Watch<W> {
    /// Registers `watcher`.
    ///
    /// Context: task, may sleep; not from a call of a watcher.
    pub fn new(watcher: W) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            watcher,
            // INVARIANT: registration succeeded.
            block <- Opaque::try_ffi_init(|block: *mut notifier_block| {
                // SAFETY: `block` points to memory for one that nobody else sees yet.
                unsafe {
                    block.write(notifier_block {
                        notifier_call: Some(Self::call),
                        // Behind that of kprobes (0), which reads what a coming module says must not be probed.
                        priority: -1,
                        ..Default::default()
                    })
                };
                // SAFETY: initialised, pinned, and it lives until `drop` unregisters it.
                to_result(unsafe { bindings::register_module_notifier(block) })
            }),
        }? Error)
    }

    /// # Safety
    ///
    /// Only for the kernel to call, with the block of a [`Watch<W>`] and a module.
    unsafe extern "C" fn call(
        block: *mut notifier_block,
        state: c_ulong,
        module: *mut c_void,
    ) -> c_int {
        // SAFETY: by the caller's promise `block` is the field of a pinned Self, which outlives this call, because
        // unregistering waits for it. `watcher` is initialised before `block` is registered.
        let watcher = unsafe { &(*container_of!(Opaque::cast_from(block), Self, block)).watcher };
        // SAFETY: a module's name is NUL-terminated and stays during the call.
        let name = unsafe {
            let module = module.cast::<bindings::module>();
            CStr::from_char_ptr((&raw const (*module).name).cast())
        };
        if let Ok(name) = name.to_str() {
            match state as u32 {
                bindings::module_state_MODULE_STATE_COMING => watcher.coming(name),
                bindings::module_state_MODULE_STATE_GOING => watcher.going(name),
                _ => {}
            }
        }
        bindings::NOTIFY_DONE as c_int
    }
}

#[pinned_drop]
impl<W: Watcher> PinnedDrop for Watch<W> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: registered by the type invariant.
        unsafe { bindings::unregister_module_notifier(self.block.get()) };
    }
}
