// SPDX-License-Identifier: GPL-2.0-or-later
//! KTAP version 1 (Documentation/dev-tools/ktap.rst of the kernel), a line for each scenario as soon as it is done.

use crate::test::journal::Plan;
use crate::test::report::{Outcome, Report};
use std::fmt::Write as _;
use std::io::{Write, stdout};
use std::sync::Mutex;

/// A KTAP document that is being written to standard output.
pub struct Ktap {
    number: Mutex<usize>,
}

impl Ktap {
    /// Writes the head, and what an earlier runner has done.
    pub fn begin(plan: &Plan, done: &[Report]) -> Self {
        let ktap = Self {
            number: Mutex::new(0),
        };
        put(&format!("KTAP version 1\n1..{}\n", plan.cells.len()));
        done.iter().for_each(|report| ktap.report(report));
        ktap
    }

    /// Writes one result.
    pub fn report(&self, report: &Report) {
        if let Ok(mut number) = self.number.lock() {
            *number += 1;
            put(&line(*number, report));
        }
    }
}

fn put(text: &str) {
    let mut out = stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Diagnostics first, then the result.
fn line(number: usize, report: &Report) -> String {
    let mut text = String::new();
    for check in report.checks.iter().filter(|check| !check.ok) {
        let _ = writeln!(
            text,
            "# {}: {}, expected {}",
            check.name,
            one_line(&check.found),
            one_line(&check.expected)
        );
    }
    if report.outcome == Outcome::Lost || report.outcome == Outcome::Fail {
        for words in report.reason.iter().flat_map(|reason| reason.lines()) {
            let _ = writeln!(text, "# {}: {words}", report.outcome);
        }
        if let Some(folder) = &report.folder {
            let _ = writeln!(text, "# kept in {}", folder.display());
        }
    }
    let ok = if matches!(report.outcome, Outcome::Fail | Outcome::Lost) {
        "not ok"
    } else {
        "ok"
    };
    let _ = write!(text, "{ok} {number} {}", report.id);
    if report.outcome == Outcome::Skipped {
        let _ = write!(
            text,
            " # SKIP {}",
            one_line(report.reason.as_deref().unwrap_or(""))
        );
    }
    text.push('\n');
    text
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::formats::samples;

    #[test]
    fn line_when_failed_explains_before_the_result() {
        let text = line(3, &samples::failed());
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("# cause: "), "{text}");
        assert_eq!(lines.last(), Some(&"not ok 3 DIRECT-BUG@7.3.4"));
    }

    #[test]
    fn line_when_skipped_is_ok_with_the_reason() {
        let text = line(1, &samples::skipped());
        assert_eq!(text, "ok 1 DIRECT-NONE@7.3.4 # SKIP it never crashes\n");
    }
}
