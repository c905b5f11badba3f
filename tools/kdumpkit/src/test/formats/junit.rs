// SPDX-License-Identifier: GPL-2.0-or-later
//! JUnit XML, a test suite for each kernel.

use crate::test::report::{Outcome, Report};
use anyhow::{Context, Result};
use quick_junit::{NonSuccessKind, Report as Junit, TestCase, TestCaseStatus, TestSuite};
use std::collections::BTreeMap;
use std::time::Duration;

/// The document.
///
/// # Errors
/// Never, as far as the tests can tell.
pub fn document(reports: &[Report]) -> Result<String> {
    let mut suites: BTreeMap<&str, TestSuite> = BTreeMap::new();
    for report in reports {
        let suite = suites
            .entry(&report.kernel)
            .or_insert_with(|| TestSuite::new(format!("kdumpkit.{}", report.kernel)));
        suite.add_test_case(case(report));
    }
    let mut junit = Junit::new("kdumpkit");
    junit.add_test_suites(suites.into_values());
    junit.to_string().context("writing JUnit XML")
}

fn case(report: &Report) -> TestCase {
    let reason = report.reason.clone().unwrap_or_default();
    let mut status = match report.outcome {
        Outcome::Pass => TestCaseStatus::success(),
        Outcome::Skipped => TestCaseStatus::skipped(),
        Outcome::Fail => TestCaseStatus::non_success(NonSuccessKind::Failure),
        // A lost machine says nothing about what was tested.
        Outcome::Lost => TestCaseStatus::non_success(NonSuccessKind::Error),
    };
    if report.outcome != Outcome::Pass {
        status.set_message(reason);
        status.set_type(report.outcome.as_str());
    }
    let mut case = TestCase::new(report.name.as_str(), status);
    case.set_classname(format!("kdumpkit.{}", report.point));
    case.set_time(Duration::from_secs_f64(report.seconds.max(0.0)));
    case.set_system_out(report.to_string());
    case
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::formats::samples;

    #[test]
    fn document_when_all_outcomes_counts_each_as_what_it_is() {
        let xml = document(&[
            samples::passed(),
            samples::failed(),
            samples::lost(),
            samples::skipped(),
        ])
        .unwrap();
        let suite = xml
            .lines()
            .find(|line| line.contains("<testsuite "))
            .unwrap();
        assert!(
            suite.contains(r#"tests="4" skipped="1" errors="1" failures="1""#),
            "{suite}"
        );
        assert!(
            xml.contains(r#"<skipped message="it never crashes""#),
            "{xml}"
        );
    }

    #[test]
    fn document_when_a_console_has_control_characters_stays_xml() {
        let mut report = samples::failed();
        report.reason = Some("\u{1b}[31m<oops> & \u{0}".to_owned());
        let xml = document(&[report]).unwrap();
        assert!(!xml.contains('\u{1b}') && !xml.contains('\u{0}'), "{xml}");
        assert!(xml.contains("&lt;oops&gt; &amp;"), "{xml}");
    }
}
