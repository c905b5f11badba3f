// SPDX-License-Identifier: GPL-2.0

//! Locks that are held while the fault happens.

use crate::types::Lock;
use core::mem::forget;
use kernel::{prelude::*, sync::global_lock};

global_lock! {
    // SAFETY: initialised by `init` before anything can be armed.
    unsafe(uninit) static SPINLOCK: SpinLock<()> = ();
}
global_lock! {
    // SAFETY: initialised by `init` before anything can be armed.
    unsafe(uninit) static MUTEX: Mutex<()> = ();
}

/// # Safety
///
/// Call it once, before anything is armed.
pub(crate) unsafe fn init() {
    // SAFETY: once, by the caller's promise.
    unsafe { SPINLOCK.init() };
    // SAFETY: as above.
    unsafe { MUTEX.init() };
}

/// Takes a lock for ever, without waiting for it.
pub(super) fn take(lock: Lock) {
    match lock {
        Lock::None => {}
        Lock::Spinlock => forget(SPINLOCK.try_lock()),
        Lock::Mutex => forget(MUTEX.try_lock()),
        Lock::Rcu => {
            kdump::locks::rcu();
        }
        Lock::Console => {
            kdump::locks::console();
        }
        Lock::Rtnl => {
            kdump::locks::rtnl();
        }
    }
}

/// The second attempt spins for ever.
pub(super) fn spinlock_twice() {
    forget(SPINLOCK.lock());
    forget(SPINLOCK.lock());
}
