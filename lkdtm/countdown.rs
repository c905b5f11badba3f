// SPDX-License-Identifier: GPL-2.0

//! The countdown of a crash point: exact with hits on several CPUs at once, and it fires once.

#[cfg(not(loom))]
use core::sync::atomic::{AtomicI64, Ordering::Relaxed};
#[cfg(loom)]
use loom::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// Counts hits down from N; the N-th fires.
///
/// One atomic decrement per hit decides: whoever takes it from one to zero fires, so exactly one hit does, whatever
/// the interleaving. Relaxed ordering suffices, because no other memory is published through the counter. It goes on
/// below zero, so the hits after the shot are counted as well; 2^63 of them are out of reach.
#[derive(Debug)]
pub struct Countdown {
    left: AtomicI64,
    from: i64,
}

impl Countdown {
    /// Fires on the `hits`-th hit; `None`: never, only counts.
    pub fn new(hits: Option<u32>) -> Self {
        let from = match hits {
            Some(hits) => i64::from(hits),
            None => 0,
        };
        Self {
            left: AtomicI64::new(from),
            from,
        }
    }

    /// Counts one hit; true for the one that fires.
    ///
    /// Context: any, from any number of CPUs at once; no lock.
    #[inline(always)]
    #[must_use]
    pub fn hit(&self) -> bool {
        self.left.fetch_sub(1, Relaxed) == 1
    }

    /// Hits until it fires; 0 once it has, or if it never does.
    pub fn left(&self) -> u32 {
        u32::try_from(self.left.load(Relaxed)).unwrap_or(0)
    }

    /// Hits so far.
    pub fn hits(&self) -> u64 {
        u64::try_from(self.from - self.left.load(Relaxed)).unwrap_or(0)
    }

    /// Whether the firing hit has happened.
    pub fn fired(&self) -> bool {
        self.from > 0 && self.left.load(Relaxed) <= 0
    }
}
