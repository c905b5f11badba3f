// SPDX-License-Identifier: GPL-2.0

//! Well-known locks, taken for ever: whoever calls this is about to crash.
//!
//! Each returns whether the lock was free. None of them waits.
//!
//! C headers: [`include/linux/console.h`](srctree/include/linux/console.h),
//! [`include/linux/rtnetlink.h`](srctree/include/linux/rtnetlink.h)

use crate::bindings;

/// The console lock.
///
/// Context: task or softirq; from an interrupt only to crash right after.
pub fn console() -> bool {
    // SAFETY: takes nothing; never sleeps.
    unsafe { bindings::console_trylock() != 0 }
}

/// The lock of the network configuration.
///
/// Context: task; from an interrupt only to crash right after.
pub fn rtnl() -> bool {
    // SAFETY: takes nothing; never sleeps.
    unsafe { bindings::rtnl_trylock() != 0 }
}

/// The read side of RCU.
///
/// Context: any.
pub fn rcu() -> bool {
    // SAFETY: may be called anywhere; the missing unlock is the caller's purpose.
    unsafe { kernel::bindings::rcu_read_lock() };
    true
}
