// SPDX-License-Identifier: GPL-2.0-or-later
//! The verdict: from the content of the dump, never from "a file exists".

use super::cycle::Recording;
use super::evidence::{self, Evidence};
use super::report::{Check, Heard, Outcome, Report};
use super::scenario::Scenario;
use crate::event::Event;
use crate::init::Collector;
use crate::initramfs::MKDFINFO_PATH;
use crate::vm::End;
use anyhow::Result;
use std::path::Path;

/// A report about a scenario of which nothing is known yet.
#[must_use]
pub fn blank(scenario: &Scenario, id: &str, release: &str) -> Report {
    Report {
        id: id.to_owned(),
        outcome: Outcome::Fail,
        reason: None,
        name: scenario.name.clone(),
        point: scenario.point().to_owned(),
        crash_type: scenario.crash_type().to_owned(),
        kernel: release.to_owned(),
        symbol: None,
        context: None,
        cpu: None,
        task: None,
        dump_bytes: 0,
        crash_to_dump_ms: None,
        seconds: 0.0,
        checks: Vec::new(),
        events: Vec::new(),
        folder: None,
    }
}

/// Judges one cycle.
#[must_use]
pub fn judge(scenario: &Scenario, id: &str, release: &str, recording: Result<Recording>) -> Report {
    let mut report = blank(scenario, id, release);
    let recording = match recording {
        Ok(recording) => recording,
        Err(error) => {
            report.reason = Some(format!("{error:#}"));
            return report;
        }
    };
    report.crash_to_dump_ms = crash_to_dump(&recording.events);
    let judged = came_to_a_dump(&recording).and_then(|(dump, said_bytes)| {
        report
            .checks
            .extend(layout_source(scenario, &recording.events));
        judge_dump(scenario, dump, said_bytes, &mut report)
    });
    report.events = recording.events;
    let came_to = match judged {
        Ok(()) => (Outcome::Pass, None),
        Err((outcome, reason)) => (outcome, Some(reason)),
    };
    (report.outcome, report.reason) = as_it_must(scenario, came_to);
    report
}

/// Judges a dump by its content and, where that is known, by the size that was announced.
///
/// # Errors
/// The outcome and what is wrong.
pub fn judge_dump(
    scenario: &Scenario,
    dump: &Path,
    said_bytes: u64,
    report: &mut Report,
) -> Result<(), (Outcome, String)> {
    let evidence = Evidence::read(dump).map_err(|error| (Outcome::Fail, format!("{error:#}")))?;
    report.dump_bytes = evidence.bytes;
    evidence::check(scenario, &evidence, said_bytes, report);
    match report.checks.iter().find(|check| !check.ok) {
        None => Ok(()),
        Some(bad) => Err((
            Outcome::Fail,
            format!("{} is {}, expected {}", bad.name, bad.found, bad.expected),
        )),
    }
}

/// A scenario that must fail passes when it fails for the reason given, and only then.
#[must_use]
pub fn as_it_must(
    scenario: &Scenario,
    (outcome, reason): (Outcome, Option<String>),
) -> (Outcome, Option<String>) {
    let expect = &scenario.expect;
    if expect.outcome == Outcome::Pass {
        return (outcome, reason);
    }
    let found = reason.unwrap_or_default();
    let wanted = expect.reason.as_deref().unwrap_or("");
    if outcome == expect.outcome && found.contains(wanted) {
        return (
            Outcome::Pass,
            Some(format!("{outcome}, as it must: {found}")),
        );
    }
    let words = format!(
        "must come to {} with {wanted:?} in the reason, came to {outcome}: {found}",
        expect.outcome
    );
    (Outcome::Fail, Some(words))
}

/// Our filter must have worked with the crashed kernel's own mkdfinfo file.
fn layout_source(scenario: &Scenario, events: &[Heard]) -> Option<Check> {
    if !matches!(scenario.collector, Collector::Filter { .. }) {
        return None;
    }
    let used = events.iter().find_map(|heard| match &heard.event {
        Event::Dump { filter, .. } => filter.as_ref()?.get("mkdfinfo")?.as_str(),
        _ => None,
    });
    let found = used.unwrap_or("the note alone");
    Some(Check {
        name: "layout".to_owned(),
        expected: format!("filtered with {MKDFINFO_PATH}"),
        found: format!("filtered with {found}"),
        ok: used == Some(MKDFINFO_PATH),
    })
}

fn crash_to_dump(events: &[Heard]) -> Option<u64> {
    let at = |wanted: fn(&Event) -> bool| events.iter().find(|h| wanted(&h.event)).map(|h| h.at_ms);
    let crash = at(|e| matches!(e, Event::Crash { .. }))?;
    Some(at(|e| matches!(e, Event::Dump { .. }))?.saturating_sub(crash))
}

/// Before the dump is looked at: did the guest end by itself, and did it say that it wrote one?
fn came_to_a_dump(recording: &Recording) -> Result<(&Path, u64), (Outcome, String)> {
    for heard in &recording.events {
        let words = match &heard.event {
            Event::ArmFailed { log, .. } => format!("lkdtm was not armed: {log}"),
            Event::NoCrash { waited_s } => {
                format!("the crash point did not fire within {waited_s} s of load")
            }
            Event::Failed { error, stage } => format!("{stage:?} kernel: {error}"),
            Event::IncompleteDump { why, .. } => why.clone(),
            Event::TargetFailed { error, .. } => format!("Capture kernel: {error}"),
            _ => continue,
        };
        return Err((Outcome::Fail, words));
    }
    match &recording.end {
        End::Lost(missed) => return Err((Outcome::Lost, missed.clone())),
        End::Broken(words) => return Err((Outcome::Fail, words.clone())),
        End::Off => {}
    }
    let said = recording.events.iter().find_map(|h| match h.event {
        Event::Dump { bytes, .. } => Some(bytes),
        _ => None,
    });
    let fail = |words: &str| Err((Outcome::Fail, words.to_owned()));
    match (recording.dump.as_deref(), said) {
        (Some(dump), Some(bytes)) => Ok((dump, bytes)),
        (None, Some(_)) => fail("the dump that was announced is not on the disk"),
        (_, None) => fail("the guest ended without announcing a dump"),
    }
}
