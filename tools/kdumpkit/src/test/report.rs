// SPDX-License-Identifier: GPL-2.0-or-later
//! What one scenario came to: outcome, the facts read from the dump, each check with what was expected.

use crate::event::Event;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

/// How a scenario ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Not run; the reason says why.
    Skipped,
    /// The dump is there and says what was expected.
    Pass,
    /// The machine was lost: it neither ended nor said anything until its deadline.
    Lost,
    /// Everything else: not armed, no crash, no dump, or a dump that says something else.
    Fail,
}

impl Outcome {
    /// All of them, as they are counted in summaries.
    pub const ALL: [Outcome; 4] = [
        Outcome::Pass,
        Outcome::Fail,
        Outcome::Lost,
        Outcome::Skipped,
    ];

    /// Exit status of a run whose worst outcome is this: 0, 1 or 3.
    #[must_use]
    pub fn exit_code(self) -> ExitCode {
        match self {
            Outcome::Pass | Outcome::Skipped => ExitCode::SUCCESS,
            Outcome::Fail => ExitCode::from(1),
            Outcome::Lost => ExitCode::from(3),
        }
    }

    /// As it is spelled in reports and filters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Fail => "fail",
            Outcome::Lost => "lost",
            Outcome::Skipped => "skipped",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One thing looked at in the dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// What it had to be.
    pub expected: String,
    /// What it was.
    pub found: String,
    /// Whether that is right.
    pub ok: bool,
}

/// An event and when it was heard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    /// Milliseconds since the cycle began.
    pub at_ms: u64,
    /// What was heard.
    #[serde(flatten)]
    pub event: Event,
}

/// Everything about one scenario on one kernel; `--json` writes a list of these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Unique within a run.
    pub id: String,
    /// pass, fail, lost, skipped.
    pub outcome: Outcome,
    /// Why it is not a pass; for a scenario that must fail, how it did.
    pub reason: Option<String>,
    /// The scenario's name.
    pub name: String,
    /// Crash point as asked for, or the scenario's name where there is none.
    pub point: String,
    /// Crash type as asked for.
    pub crash_type: String,
    /// Kernel release.
    pub kernel: String,
    /// The symbol that lkdtm probed.
    pub symbol: Option<String>,
    /// Where the crash happened: task, softirq, hardirq, nmi.
    pub context: Option<String>,
    /// The CPU that crashed.
    pub cpu: Option<u32>,
    /// The process on it, `PID COMM`.
    pub task: Option<String>,
    /// Size of the dump file.
    pub dump_bytes: u64,
    /// From the first sign of the crash on the console to the complete dump.
    pub crash_to_dump_ms: Option<u64>,
    /// Wall time of the whole cycle.
    pub seconds: f64,
    /// What was checked.
    pub checks: Vec<Check>,
    /// What was heard.
    pub events: Vec<Heard>,
    /// Where console, command line and dump are; None when they were not kept.
    pub folder: Option<PathBuf>,
}

impl Report {
    /// The closing line: `verdict: pass point=… symbol=… …`.
    #[must_use]
    pub fn verdict_line(&self) -> String {
        let cpu = self.cpu.map_or("-".to_owned(), |n| n.to_string());
        format!(
            "verdict: {} point={} symbol={} type={} context={} cpu={cpu} dump={}bytes seconds={:.1}",
            self.outcome,
            self.point,
            self.symbol.as_deref().unwrap_or("-"),
            self.crash_type,
            self.context.as_deref().unwrap_or("-"),
            self.dump_bytes,
            self.seconds,
        )
    }

    /// Release without the distribution's part: `7.3.4`.
    #[must_use]
    pub fn version(&self) -> &str {
        version(&self.kernel)
    }
}

/// `7.3.4+deb13-amd64` → `7.3.4`.
#[must_use]
pub fn version(release: &str) -> &str {
    let end = release.find(|c: char| !c.is_ascii_digit() && c != '.');
    &release[..end.unwrap_or(release.len())]
}

impl fmt::Display for Report {
    /// The checks, a line each, and why it is not a pass; the verdict line is extra.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let mark = if check.ok { "ok " } else { "BAD" };
            writeln!(f, "  {mark} {:<14} {}", check.name, check.found)?;
            if !check.ok {
                writeln!(f, "      expected       {}", check.expected)?;
            }
        }
        if let Some(reason) = &self.reason {
            writeln!(f, "  {}: {reason}", self.outcome)?;
        }
        if let Some(folder) = &self.folder {
            writeln!(f, "  kept in {}", folder.display())?;
        }
        Ok(())
    }
}

/// `12 scenarios: 10 passed, 1 failed, 0 lost, 1 skipped`
#[must_use]
pub fn summary(reports: &[Report]) -> String {
    let count = |outcome| reports.iter().filter(|r| r.outcome == outcome).count();
    let [pass, fail, lost, skipped] = Outcome::ALL.map(count);
    format!(
        "{} scenarios: {pass} passed, {fail} failed, {lost} lost, {skipped} skipped",
        reports.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worst_outcome_when_compared_is_fail_over_lost_over_pass() {
        assert_eq!(Outcome::ALL.iter().max(), Some(&Outcome::Fail));
        assert_eq!(Outcome::ALL.iter().min(), Some(&Outcome::Skipped));
    }

    #[test]
    fn version_when_distribution_suffix_is_cut() {
        assert_eq!(version("7.3.4+deb13-amd64"), "7.3.4");
        assert_eq!(version("7.2-rc1"), "7.2");
        assert_eq!(version("7.2"), "7.2");
    }
}
