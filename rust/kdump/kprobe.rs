// SPDX-License-Identifier: GPL-2.0

//! Kernel probes: run code whenever a kernel function (or an instruction in it) is about to execute.
//!
//! C header: [`include/linux/kprobes.h`](srctree/include/linux/kprobes.h)

use crate::bindings;
use core::{hint::black_box, ptr::addr_of};
use kernel::{
    container_of,
    error::to_result,
    ffi::{c_int, c_ulong},
    prelude::*,
    str::CString,
    types::Opaque,
};

/// What a probe does when it is hit.
pub trait Handler: Send + Sync {
    /// Called before the probed instruction executes, on the CPU that executes it; several CPUs may be in it at once.
    ///
    /// Context: preemption off; otherwise that of the probed code, so the caller may hold any lock. Neither sleep,
    /// nor allocate, nor print, nor take a lock. Implementations must be inlined (`#[inline(always)]`), so that they
    /// end in .kprobes.text and cannot be probed themselves.
    fn hit(&self) -> GoOn;

    /// Whether [`Self::hit_filtered`] is called for each hit instead; asked once, at registration, so that those
    /// without a filter do not pay for the question.
    fn filters(&self) -> bool {
        false
    }

    /// As [`Self::hit`], for hits of which not all count.
    fn hit_filtered(&self) -> GoOn {
        self.hit()
    }
}

/// What a handler answers: the probed code goes on.
#[repr(transparent)]
pub struct GoOn(c_int);

impl GoOn {
    /// From the usual way through a handler.
    pub const YES: Self = Self(0);

    /// The same from a function that a handler seldom calls, and last: the compiler jumps to such a function instead of
    /// calling it, and the usual way saves no register, as long as it cannot see that the answer is always the same.
    #[inline(always)]
    pub fn rarely() -> Self {
        Self(black_box(0))
    }
}

/// A registered kernel probe; dropping it unregisters it and waits for the handlers that still run.
///
/// # Invariants
///
/// `probe` is registered with the kernel, its `pre_handler` is one of ours, and its `symbol_name` points
/// into `symbol`.
#[pin_data(PinnedDrop)]
pub struct Kprobe<H: Handler> {
    symbol: CString,
    handler: H,
    #[pin]
    probe: Opaque<bindings::kprobe>,
}

// SAFETY: the kernel serialises changes of a registered kprobe (kprobe_mutex); Rust only reads `nmissed`. `H` is Send.
unsafe impl<H: Handler> Send for Kprobe<H> {}
// SAFETY: as above; the handler is only reached through shared references, and is Sync.
unsafe impl<H: Handler> Sync for Kprobe<H> {}

impl<H: Handler> Kprobe<H> {
    /// Registers a probe `offset_bytes` behind the start of `symbol`, which may be `module:symbol`.
    ///
    /// # Errors
    ///
    /// - `ENOENT`: this kernel has no such symbol (or the module is not loaded).
    /// - `EINVAL`: the place must not be probed: entry code, the kprobe machinery itself, data.
    /// - `EILSEQ`: `offset_bytes` is not the start of an instruction.
    /// - `EOPNOTSUPP`, `EBUSY`: the kernel cannot patch this place.
    ///
    /// Context: may sleep.
    pub fn register(symbol: CString, offset_bytes: u32, handler: H) -> impl PinInit<Self, Error> {
        let symbol_name = symbol.as_char_ptr();
        let pre_handler: unsafe extern "C" fn(_, _) -> _ = match handler.filters() {
            true => Self::pre_handler_filtered,
            false => Self::pre_handler,
        };
        // Fields are initialised in this order: the handler is in place before the first hit.
        try_pin_init!(Self {
            symbol,
            handler,
            // INVARIANT: registration succeeded; `symbol_name` is the heap buffer of `symbol`, which does not move.
            probe <- Opaque::try_ffi_init(|probe: *mut bindings::kprobe| {
                // SAFETY: `probe` points to memory for a kprobe that nobody else sees yet.
                unsafe {
                    probe.write(bindings::kprobe {
                        symbol_name,
                        offset: offset_bytes,
                        pre_handler: Some(pre_handler),
                        ..Default::default()
                    })
                };
                // SAFETY: `probe` is initialised, pinned, and lives until `drop` unregisters it.
                to_result(unsafe { bindings::register_kprobe(probe) })
            }),
        }? Error)
    }

    /// The handler.
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// Hits that never reached the handler, because they happened while another probe was handled on the same CPU.
    pub fn missed(&self) -> usize {
        // SAFETY: the kprobe is initialised; the counter is a plain word that other CPUs increment, hence volatile.
        unsafe { addr_of!((*self.probe.get()).nmissed).read_volatile() }
    }

    /// The module that the probed code is in.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    ///
    /// Context: may sleep.
    pub fn module(&self) -> Result<Option<CString>> {
        // KSYM_SYMBOL_LEN, include/linux/kallsyms.h, is some 650 bytes.
        let mut text = KBox::new([0u8; 1024], GFP_KERNEL)?;
        // SAFETY: the kprobe is initialised, its address set since it was registered; the buffer is long enough. The
        // address is only looked up.
        unsafe {
            let address = (*self.probe.get()).addr;
            kernel::bindings::sprint_symbol(text.as_mut_ptr().cast(), address as c_ulong)
        };
        // "symbol+0x1/0x2 [module]"
        let text = CStr::from_bytes_until_nul(&text[..]).map_err(|_| EINVAL)?;
        let name = text.to_str().ok().and_then(|t| t.rsplit_once(" ["));
        match name {
            Some((_, name)) => {
                CString::try_from_fmt(fmt!("{}", name.trim_end_matches(']'))).map(Some)
            }
            None => Ok(None),
        }
    }

    /// # Safety
    ///
    /// Only for the kernel to call, with the kprobe of a [`Kprobe<H>`].
    #[link_section = ".kprobes.text"]
    unsafe extern "C" fn pre_handler(
        probe: *mut bindings::kprobe,
        _regs: *mut kernel::bindings::pt_regs,
    ) -> c_int {
        // SAFETY: by the caller's promise.
        unsafe { Self::handler_of(probe) }.hit().0
    }

    /// # Safety
    ///
    /// As [`Self::pre_handler`].
    #[link_section = ".kprobes.text"]
    unsafe extern "C" fn pre_handler_filtered(
        probe: *mut bindings::kprobe,
        _regs: *mut kernel::bindings::pt_regs,
    ) -> c_int {
        // SAFETY: by the caller's promise.
        unsafe { Self::handler_of(probe) }.hit_filtered().0
    }

    /// # Safety
    ///
    /// `probe` is the kprobe of a [`Kprobe<H>`], in a call of its handler.
    #[inline(always)]
    unsafe fn handler_of<'a>(probe: *mut bindings::kprobe) -> &'a H {
        // SAFETY: by the caller's promise `probe` is the field of a pinned Self. It outlives this call: unregistering
        // waits for running handlers. All fields before `probe` are initialised before it is registered.
        unsafe { &(*container_of!(Opaque::cast_from(probe), Self, probe)).handler }
    }
}

#[pinned_drop]
impl<H: Handler> PinnedDrop for Kprobe<H> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: registered by the type invariant. Waits until no CPU runs the handler any more.
        unsafe { bindings::unregister_kprobe(self.probe.get()) };
    }
}
