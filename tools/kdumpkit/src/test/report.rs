// SPDX-License-Identifier: GPL-2.0-or-later
//! What one scenario came to: outcome, the facts read from the dump, each check with what was expected.

use crate::event::Event;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

/// How a scenario ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The dump is there and says what was expected.
    Pass,
    /// The virtual machine was lost: it neither ended nor said anything until its deadline.
    Lost,
    /// Everything else: not armed, no crash, no dump, or a dump that says something else.
    Fail,
}

impl Outcome {
    /// Exit status of a run whose worst outcome is this: 0, 1 or 3.
    #[must_use]
    pub fn exit_code(self) -> ExitCode {
        match self {
            Outcome::Pass => ExitCode::SUCCESS,
            Outcome::Fail => ExitCode::from(1),
            Outcome::Lost => ExitCode::from(3),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::Pass => "pass",
            Outcome::Fail => "fail",
            Outcome::Lost => "lost",
        })
    }
}

/// One thing looked at in the dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// What it had to be.
    pub expected: String,
    /// What it was.
    pub found: String,
    /// Whether that is right.
    pub ok: bool,
}

/// Everything about one scenario; `--json` writes a list of these.
#[derive(Debug, Serialize)]
pub struct Report {
    /// pass, fail, lost.
    pub outcome: Outcome,
    /// Why it is not a pass.
    pub reason: Option<String>,
    /// Crash point as asked for.
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
    /// Size of the dump file.
    pub dump_bytes: u64,
    /// Wall time of the whole cycle.
    pub seconds: f64,
    /// What was checked.
    pub checks: Vec<Check>,
    /// What was heard.
    pub events: Vec<Event>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worst_outcome_when_compared_is_fail_over_lost_over_pass() {
        let all = [Outcome::Pass, Outcome::Fail, Outcome::Lost];
        assert_eq!(all.iter().max(), Some(&Outcome::Fail));
        assert_eq!(all.iter().min(), Some(&Outcome::Pass));
    }
}
