// SPDX-License-Identifier: GPL-2.0
//! How long a function may take after a reset: one small state machine per function, no hardware, no clock of its own.
//!
//! The times are those of PCIe 6.0 6.6.1 (Conventional Reset), 6.6.2 (FLR) and PCI 3.0 4.3.2, as drivers/pci/pci.c
//! applies them: nothing is read in the settling time; then a function may be silent for up to a second; one that
//! asks for a retry, or whose link is up, may take longer.

use super::topology::Link;

/// A function that shows nothing at all for so long is broken (PCIe 6.0 6.6.1).
const SILENT_MS: u64 = 1000;
/// A port must reach Detect within 20 ms; then its link has a second to become active.
const LINK_MS: u64 = 20 + SILENT_MS;
/// Tpvrh + Trhfa of a conventional bus, on top of the settling time.
const CONVENTIONAL_MS: u64 = 1000;
/// The longest pause between two looks.
const PAUSE_MAX_MS: u64 = 64;

/// What reading the identity of a function gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It answers.
    Ready,
    /// It asks to be read again later (Request Retry Status).
    Retry,
    /// All ones: nothing answers.
    Silent,
}

/// What a look at the hardware showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The function's answer; not read while [`Wait::may_read`] is false.
    pub answer: Answer,
    /// State of the link above, where the port reports it.
    pub link_active: Option<bool>,
}

/// Where a function is on its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Look again at this time.
    At(u64),
    /// It can be configured.
    Ready,
    /// The link did not come back.
    LinkDown,
    /// It did not answer in time.
    Silent,
}

/// The wait for one function. All times in milliseconds of the same clock.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// The reset ended.
    since: u64,
    /// Nothing may be read before; unknown while the link is awaited.
    settled: Option<u64>,
    settle_ms: u64,
    /// A silent function without a link is given up.
    silent_ms: u64,
    /// Every function is given up.
    limit_ms: u64,
    pause_ms: u64,
}

impl Wait {
    /// For a function on the secondary bus `link`, whose reset ended at `since`.
    pub fn below(link: Link, settle_ms: u32, since: u64, limit_ms: u64) -> Self {
        let settle_ms = u64::from(settle_ms);
        let wait = Self {
            since,
            settled: None,
            settle_ms,
            silent_ms: SILENT_MS,
            limit_ms,
            pause_ms: 1,
        };
        match link {
            Link::Express {
                fast: true,
                reports_active: true,
            } => wait,
            // Nobody says when the link is up: allow it the whole second, then the devices their settling time.
            Link::Express {
                fast: true,
                reports_active: false,
            } => wait.settled_after(SILENT_MS + settle_ms),
            Link::Express { fast: false, .. } => wait.settled_after(settle_ms),
            Link::Conventional => wait.settled_after(CONVENTIONAL_MS + settle_ms),
            Link::Internal => wait.settled_after(0),
        }
    }

    /// For a function that was reset alone and needs `settle_ms`.
    pub fn own(settle_ms: u32, since: u64, limit_ms: u64) -> Self {
        Self {
            since,
            settled: Some(since + u64::from(settle_ms)),
            settle_ms: u64::from(settle_ms),
            silent_ms: limit_ms,
            limit_ms,
            pause_ms: 1,
        }
    }

    fn settled_after(mut self, settle_ms: u64) -> Self {
        self.settled = Some(self.since + settle_ms);
        self.silent_ms = self.silent_ms.max(settle_ms);
        self
    }

    /// Whether the function's configuration space may be read at `now`.
    pub fn may_read(&self, now: u64) -> bool {
        self.settled.is_some_and(|settled| now >= settled)
    }

    /// The time of the first look.
    pub fn first_look(&self) -> u64 {
        self.settled.unwrap_or(self.since)
    }

    /// Takes in what was seen at `now`.
    pub fn step(&mut self, now: u64, look: Look) -> Progress {
        let waited = now.saturating_sub(self.since);
        let Some(settled) = self.settled else {
            return self.await_link(now, waited, look.link_active);
        };
        if now < settled {
            return Progress::At(settled);
        }
        let alive = look.answer == Answer::Retry || look.link_active == Some(true);
        if look.answer == Answer::Ready {
            Progress::Ready
        } else if waited >= self.limit_ms || (waited >= self.silent_ms && !alive) {
            Progress::Silent
        } else {
            Progress::At(self.pause(now))
        }
    }

    fn await_link(&mut self, now: u64, waited: u64, link_active: Option<bool>) -> Progress {
        if link_active != Some(false) {
            let settled = now + self.settle_ms;
            self.settled = Some(settled);
            self.pause_ms = 1;
            Progress::At(settled)
        } else if waited >= LINK_MS.min(self.limit_ms) {
            Progress::LinkDown
        } else {
            Progress::At(self.pause(now))
        }
    }

    fn pause(&mut self, now: u64) -> u64 {
        let next = now + self.pause_ms;
        self.pause_ms = (self.pause_ms * 2).min(PAUSE_MAX_MS);
        // The last look is at the deadline itself, not up to a pause later.
        next.min((self.since + self.limit_ms).max(now + 1))
    }
}
