// SPDX-License-Identifier: GPL-2.0

//! Moves a fault to another context: hard interrupt, softirq, NMI, or with all other CPUs stopped.

use super::{act, lockup::hang};
use crate::types::{Fault, RunIn};
use core::{
    cell::UnsafeCell,
    hint::spin_loop,
    ptr::null_mut,
    sync::atomic::{AtomicBool, AtomicPtr, Ordering},
};
use kdump::{context, nmi, task};
use kernel::{
    bindings::{self, call_single_data_t, irq_work, tasklet_struct},
    prelude::*,
    types::Opaque,
};

/// How long to wait for an NMI or for other CPUs, in turns of a loop: some seconds.
const PATIENCE: u32 = 1 << 28;

/// What the callbacks need; made before anything is armed, because a probe handler cannot allocate.
///
/// # Invariants
///
/// While it lives, [`MOVER`] points to it, and `work`, `tasklet` and `calls` are initialised. Whoever sets `taken` may
/// write `job`, once; it is only read afterwards.
#[pin_data(PinnedDrop)]
pub(crate) struct Mover {
    #[pin]
    work: Opaque<irq_work>,
    #[pin]
    tasklet: Opaque<tasklet_struct>,
    /// One for each CPU; never used twice, because the CPUs do not come back.
    calls: KVec<Opaque<call_single_data_t>>,
    taken: AtomicBool,
    job: UnsafeCell<Job>,
    nmi_pending: AtomicBool,
}

#[derive(Clone, Copy)]
struct Job {
    softirq: bool,
    fault: Fault,
    recur_count: u32,
}

/// The mover that lives, for callbacks that get no argument.
static MOVER: AtomicPtr<Mover> = AtomicPtr::new(null_mut());

// SAFETY: the work, the tasklet and the calls are only touched through the kernel's functions, which may be called on
// any CPU; the job is guarded as the invariants say; the rest is atomic.
unsafe impl Send for Mover {}
// SAFETY: as above.
unsafe impl Sync for Mover {}

impl Mover {
    /// Makes the only mover. It must be dropped after everything that is armed.
    pub(crate) fn new() -> Result<Pin<KBox<Self>>> {
        // SAFETY: a constant after boot.
        let cpus = unsafe { bindings::nr_cpu_ids };
        let mut calls = KVec::new();
        for _ in 0..cpus {
            let call = call_single_data_t {
                func: Some(hang),
                ..Default::default()
            };
            calls.push(Opaque::new(call), GFP_KERNEL)?;
        }
        let mover = KBox::pin_init(
            pin_init!(Self {
                // An irq_work is a function and zeroes, as IRQ_WORK_INIT makes it.
                work <- Opaque::ffi_init(|work: *mut irq_work| {
                    // SAFETY: `work` points to memory for one that nobody else sees yet.
                    unsafe { work.write(irq_work { func: Some(in_hardirq), ..Default::default() }) }
                }),
                tasklet <- Opaque::ffi_init(|tasklet: *mut tasklet_struct| {
                    // SAFETY: as above.
                    unsafe { bindings::tasklet_setup(tasklet, Some(in_softirq)) }
                }),
                calls,
                taken: AtomicBool::new(false),
                job: UnsafeCell::new(Job { softirq: false, fault: Fault::None, recur_count: 0 }),
                nmi_pending: AtomicBool::new(false),
            }),
            GFP_KERNEL,
        )?;
        MOVER.store((&raw const *mover).cast_mut(), Ordering::Release);
        Ok(mover)
    }

    fn get() -> Option<&'static Self> {
        // SAFETY: callers are callbacks of an armed fault, which is disarmed before the mover goes, or callbacks that
        // `drop` waits for.
        unsafe { MOVER.load(Ordering::Acquire).as_ref() }
    }

    fn job(&self) -> Job {
        // SAFETY: written before the callback that calls this was queued, and not since.
        unsafe { *self.job.get() }
    }

    fn act(&self) {
        act(self.job().fault, self.job().recur_count);
    }
}

#[pinned_drop]
impl PinnedDrop for Mover {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: initialised by the invariants; both wait until the callbacks no longer run, the work first, because it
        // may schedule the tasklet.
        unsafe {
            bindings::irq_work_sync(self.work.get());
            bindings::tasklet_kill(self.tasklet.get());
        }
        MOVER.store(null_mut(), Ordering::Release);
    }
}

/// Does `fault` in `place`, possibly after this returns. Only the first fault that is moved is done.
pub(super) fn run(place: RunIn, fault: Fault, recur_count: u32) {
    let Some(mover) = Mover::get() else { return };
    if mover.taken.swap(true, Ordering::AcqRel) {
        return;
    }
    // SAFETY: `taken` was ours to set.
    unsafe {
        *mover.job.get() = Job {
            softirq: place == RunIn::Softirq,
            fault,
            recur_count,
        }
    };
    match place {
        RunIn::Nmi => send_nmi(mover),
        RunIn::StopIrqsOff => {
            // First of all: a task that is preempted here, or interrupted, would wait for what a stopped CPU holds.
            context::irqs_disable();
            stop_others(mover);
            mover.act();
        }
        _ => {
            // SAFETY: initialised by the invariants; may be called in any context.
            unsafe { bindings::irq_work_queue(mover.work.get()) };
        }
    }
}

extern "C" fn in_hardirq(_work: *mut irq_work) {
    let Some(mover) = Mover::get() else { return };
    if mover.job().softirq {
        // SAFETY: initialised by the invariants. As tasklet_schedule(): TASKLET_STATE_SCHED keeps it from being queued
        // twice, and this is the only one who queues it, once.
        unsafe {
            (*mover.tasklet.get()).state |= 1;
            bindings::__tasklet_schedule(mover.tasklet.get());
        }
    } else {
        mover.act();
    }
}

extern "C" fn in_softirq(_tasklet: *mut tasklet_struct) {
    if let Some(mover) = Mover::get() {
        mover.act();
    }
}

/// The NMI handler, registered while something is armed that needs it.
pub(crate) struct InNmi;

impl nmi::Handler for InNmi {
    #[inline(always)]
    fn nmi() -> bool {
        let Some(mover) = Mover::get() else {
            return false;
        };
        let ours = mover.nmi_pending.swap(false, Ordering::AcqRel);
        if ours {
            mover.act();
        }
        ours
    }
}

fn send_nmi(mover: &Mover) {
    mover.nmi_pending.store(true, Ordering::Release);
    if nmi::send_self() {
        for _ in 0..PATIENCE {
            if !mover.nmi_pending.load(Ordering::Acquire) {
                return;
            }
            spin_loop();
        }
    }
    // Inside of an NMI no other arrives: then this already is the right context.
    if mover.nmi_pending.swap(false, Ordering::AcqRel) {
        mover.act();
    }
}

/// Makes all other CPUs spin with interrupts off, and gives them time to get there. Interrupts are off here.
fn stop_others(mover: &Mover) {
    let here = task::cpu();
    for (cpu, call) in mover.calls.iter().enumerate() {
        if cpu != here as usize {
            // SAFETY: each call is used once; it lives as long as the module, which cannot go while its code runs for
            // ever. An offline CPU is refused.
            unsafe { bindings::smp_call_function_single_async(cpu as i32, call.get()) };
        }
    }
    for _ in 0..PATIENCE >> 6 {
        spin_loop();
    }
}
