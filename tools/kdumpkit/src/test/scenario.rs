// SPDX-License-Identifier: GPL-2.0-or-later
//! One crash to try: how it is brought about, on what hardware, under which load, and what the dump must say then.

use super::report::Outcome;
use crate::init::{Collector, Load};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One scenario with everything resolved: tables looked up, rules applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenario {
    /// Short name for folders, filters and progress lines.
    pub name: String,
    /// Suites it is in.
    pub suites: Vec<String>,
    /// How the machine is made to crash.
    pub trigger: Trigger,
    /// sysctls of the first kernel, dotted name and value.
    pub sysctls: Vec<(String, String)>,
    /// Load under which the point fires.
    pub loads: Vec<Load>,
    /// Modules that devices and load need.
    pub modules: Vec<String>,
    /// Devices beyond the dump disk and the scratch disk.
    pub devices: Vec<Device>,
    /// `crashkernel=` of the first kernel.
    pub crashkernel: String,
    /// What writes the dump.
    pub collector: Collector,
    /// How long the whole cycle may take.
    pub deadline_s: u64,
    /// How long nothing may be heard.
    pub silence_s: u64,
    /// What is broken on purpose.
    pub sabotage: Option<Sabotage>,
    /// What must come out.
    pub expect: Expect,
    /// Why it is not run.
    pub skip: Option<String>,
    /// Why something about it is as it is.
    pub reasons: Vec<String>,
}

/// How the machine is made to crash. Several at once: lkdtm hangs a CPU, an NMI ends it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// A crash point.
    pub lkdtm: Option<Lkdtm>,
    /// A script for the guest's shell.
    pub script: Option<String>,
    /// An NMI from QEMU, this many seconds after the guest's last preparation.
    pub nmi_after_s: Option<u64>,
}

/// Parameters of lkdtm.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lkdtm {
    /// cpoint_name
    pub point: String,
    /// cpoint_type
    pub crash_type: String,
    /// cpoint_count
    pub count: Option<u32>,
    /// recur_count
    pub recur: Option<u32>,
    /// cpoint_cpu
    pub cpu: Option<u32>,
    /// cpoint_context
    pub context: Option<String>,
    /// cpoint_lock
    pub lock: Option<String>,
}

/// A piece of hardware of the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Its name in scenarios.
    pub name: String,
    /// File name of a scratch disk image that its arguments mention.
    pub disk: Option<String>,
    /// QEMU arguments.
    pub qemu: Vec<String>,
    /// Modules of its driver.
    #[serde(default)]
    pub modules: Vec<String>,
}

/// Ways to break a cycle, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sabotage {
    /// Half of the dump is cut off before it is judged.
    TruncateDump,
    /// The capture kernel never comes to an end.
    HangCapture,
}

/// What the dump must say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expect {
    /// Texts of which the kernel log holds one.
    pub cause: Vec<String>,
    /// Contexts of which the crashed CPU is in one: task, softirq, hardirq, nmi.
    pub contexts: Vec<String>,
    /// The CPU, when only one will do.
    pub cpu: Option<u32>,
    /// Functions on the crashed CPU's stack; `$symbol` is the one that lkdtm says it probed.
    pub stack: Vec<String>,
    /// lkdtm's `fires` line must be in the log.
    pub fires: bool,
    /// What the scenario must come to.
    pub outcome: Outcome,
    /// When that is not a pass: a text in the reason.
    pub reason: Option<String>,
}

impl Default for Expect {
    fn default() -> Self {
        Self {
            cause: Vec::new(),
            contexts: Vec::new(),
            cpu: None,
            stack: Vec::new(),
            fires: false,
            outcome: Outcome::Pass,
            reason: None,
        }
    }
}

impl Scenario {
    /// How long the whole cycle may take.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline_s)
    }

    /// What crashes, in a few words: `INT_HW_IRQ_EN` or `nmi`.
    #[must_use]
    pub fn point(&self) -> &str {
        self.trigger.lkdtm.as_ref().map_or(&self.name, |l| &l.point)
    }

    /// lkdtm's crash type, or `-`.
    #[must_use]
    pub fn crash_type(&self) -> &str {
        self.trigger.lkdtm.as_ref().map_or("-", |l| &l.crash_type)
    }
}

impl Lkdtm {
    /// As modprobe takes them.
    #[must_use]
    pub fn parameters(&self) -> Vec<String> {
        let number = |key: &str, value: Option<u32>| value.map(|n| format!("{key}={n}"));
        let text = |key: &str, value: &Option<String>| value.as_ref().map(|t| format!("{key}={t}"));
        [
            Some(format!("cpoint_name={}", self.point)),
            Some(format!("cpoint_type={}", self.crash_type)),
            number("cpoint_count", self.count),
            number("recur_count", self.recur),
            number("cpoint_cpu", self.cpu),
            text("cpoint_context", &self.context),
            text("cpoint_lock", &self.lock),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// A name made of characters that every file system and every report format takes.
#[must_use]
pub fn plain_name(text: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || "-_+.".contains(c);
    text.chars()
        .map(|c| if keep(c) { c } else { '_' })
        .collect()
}
