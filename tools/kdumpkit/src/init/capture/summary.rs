// SPDX-License-Identifier: GPL-2.0-or-later
//! What happened to the dump, for the next boot: one JSON file beside it.

use super::CaptureRole;
use super::collect::Unreadable;
use crate::config::Target;
use crate::estimate::need::Measured;
use crate::init::system;
use serde::Serialize;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where PID 1 leaves it for the process that copies it to a target.
pub const PATH: &str = "/run/kdumpkit-summary.json";
/// Its name on a target.
pub const NAME: &str = "kdumpkit-summary.json";

/// What happened to the dump.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Of this program.
    pub version: &'static str,
    /// The machine.
    pub host: String,
    /// The kernel that crashed and captured.
    pub release: String,
    /// When, in UTC by this machine's clock; also the name of the dump's folder.
    pub stamp: String,
    /// Every target, in order.
    pub results: Vec<Result>,
    /// What the capture kernel's memory was until then.
    pub memory: Option<Measured>,
}

/// What happened to one target.
#[derive(Debug, Serialize)]
pub struct Result {
    /// Type and place.
    pub target: String,
    /// Whether it has what it was to save.
    pub saved: bool,
    /// Whether anything could be written there.
    pub reached: bool,
    /// 0: its turn did not come.
    pub tries: u32,
    /// All tries together.
    pub seconds: f64,
    /// The dump on it; also one without the pages in `unreadable`.
    pub path: Option<String>,
    /// Its size.
    pub bytes: u64,
    /// Pages that the dump does not have, because /proc/vmcore could not be read there. All others are in it, and it is marked
    /// incomplete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<Unreadable>,
    /// Why the last try failed.
    pub error: Option<String>,
}

impl Summary {
    pub fn new(role: &CaptureRole) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            host: role.hostname.clone(),
            release: system::release(),
            stamp: stamp(now.map_or(0, |d| d.as_secs())),
            results: Vec::new(),
            memory: None,
        }
    }

    /// Whether a target has what it was to save.
    pub fn saved(&self) -> bool {
        self.results.iter().any(|r| r.saved)
    }

    /// Whether a target has a dump, or as much of one as can be had: another target would not get more.
    pub fn has_dump(&self) -> bool {
        self.saved() || self.results.iter().any(|r| r.unreadable.is_some())
    }

    /// For the post hooks.
    pub fn word(&self) -> &'static str {
        match (self.saved(), self.has_dump()) {
            (true, _) => "saved",
            (false, true) => "incomplete",
            (false, false) => "failed",
        }
    }

    pub fn write(&self) -> anyhow::Result<()> {
        Ok(std::fs::write(PATH, serde_json::to_vec_pretty(self)?)?)
    }
}

impl Result {
    pub fn new(target: &Target) -> Self {
        Self {
            target: target.kind.place(),
            saved: false,
            reached: false,
            tries: 0,
            seconds: 0.0,
            path: None,
            bytes: 0,
            unreadable: None,
            error: None,
        }
    }

    pub fn skipped(target: &Target) -> Self {
        Self::new(target)
    }
}

/// `2026-11-24-12-30-05` (no colons: NFS servers may serve other systems).
fn stamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (mut year, mut day) = (1970, days);
    let leap = |y: u64| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let months = [
        31,
        28 + u64::from(leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut month = 0;
    while day >= months[month] {
        day -= months[month];
        month += 1;
    }
    format!(
        "{year:04}-{:02}-{:02}-{:02}-{:02}-{:02}",
        month + 1,
        day + 1,
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::stamp;

    #[test]
    fn stamp_when_leap_day_and_year_ends() {
        assert_eq!(stamp(0), "1970-01-01-00-00-00");
        assert_eq!(stamp(951_782_400), "2000-02-29-00-00-00");
        assert_eq!(stamp(1_767_225_599), "2025-12-31-23-59-59");
        assert_eq!(stamp(1_795_516_205), "2026-11-24-10-30-05");
    }
}
