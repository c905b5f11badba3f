// SPDX-License-Identifier: GPL-2.0-or-later
//! Reports for the tests of the formats.

use crate::test::report::{Check, Outcome, Report};

pub(crate) fn passed() -> Report {
    report("INT_HW_IRQ_EN", "PANIC", Outcome::Pass, None)
}

pub(crate) fn failed() -> Report {
    let mut report = report(
        "DIRECT",
        "BUG",
        Outcome::Fail,
        Some("cause is Kernel panic, expected \"kernel BUG at \""),
    );
    report.checks.push(Check {
        name: "cause".into(),
        expected: "kernel BUG at".into(),
        found: "Kernel panic\n- not syncing".into(),
        ok: false,
    });
    report
}

pub(crate) fn lost() -> Report {
    report(
        "TIMERADD",
        "LOOP",
        Outcome::Lost,
        Some("nothing heard for 90 s"),
    )
}

pub(crate) fn skipped() -> Report {
    report("DIRECT", "NONE", Outcome::Skipped, Some("it never crashes"))
}

fn report(point: &str, crash_type: &str, outcome: Outcome, reason: Option<&str>) -> Report {
    Report {
        id: format!("{point}-{crash_type}@7.3.4"),
        outcome,
        reason: reason.map(str::to_owned),
        name: format!("{point}-{crash_type}"),
        point: point.into(),
        crash_type: crash_type.into(),
        kernel: "7.3.4+deb13-amd64".into(),
        symbol: Some("handle_irq_event".into()),
        context: Some("hardirq".into()),
        cpu: Some(1),
        task: Some("0 swapper/1".into()),
        dump_bytes: 23_540_942,
        crash_to_dump_ms: Some(11_300),
        seconds: 20.9,
        checks: Vec::new(),
        events: Vec::new(),
        folder: None,
    }
}
