// SPDX-License-Identifier: GPL-2.0-or-later
//! The verdict: from the content of the dump, never from "a file exists".

use super::cycle::Recording;
use super::report::{Outcome, Report};
use super::scenario::Scenario;
use crate::event::Event;
use crate::vm::End;
use anyhow::Result;

/// Judges one cycle.
#[must_use]
pub fn judge(scenario: &Scenario, release: &str, recording: Result<Recording>) -> Report {
    let mut report = Report {
        outcome: Outcome::Fail,
        reason: None,
        point: scenario.point.clone(),
        crash_type: scenario.crash_type.clone(),
        kernel: release.to_owned(),
        symbol: None,
        context: None,
        cpu: None,
        dump_bytes: 0,
        seconds: 0.0,
        checks: Vec::new(),
        events: Vec::new(),
        folder: None,
    };
    let recording = match recording {
        Ok(recording) => recording,
        Err(error) => {
            report.reason = Some(format!("{error:#}"));
            return report;
        }
    };
    report.events = recording.events.clone();
    if let Err((outcome, reason)) = came_to_a_dump(&recording) {
        report.outcome = outcome;
        report.reason = Some(reason);
        return report;
    }
    report.outcome = Outcome::Pass;
    report
}

/// Before the dump is looked at: did the guest end by itself, and did it say that it wrote one?
fn came_to_a_dump(recording: &Recording) -> Result<u64, (Outcome, String)> {
    for event in &recording.events {
        match event {
            Event::ArmFailed { log, .. } => {
                return Err((Outcome::Fail, format!("lkdtm was not armed: {log}")));
            }
            Event::NoCrash { waited_s } => {
                return Err((
                    Outcome::Fail,
                    format!("the crash point did not fire within {waited_s} s of load"),
                ));
            }
            Event::Failed { error, stage } => {
                return Err((Outcome::Fail, format!("{stage:?} kernel: {error}")));
            }
            _ => {}
        }
    }
    match &recording.end {
        End::Lost(missed) => return Err((Outcome::Lost, missed.clone())),
        End::Broken(words) => return Err((Outcome::Fail, words.clone())),
        End::Off => {}
    }
    let said = recording.events.iter().find_map(|e| match e {
        Event::Dump { bytes, .. } => Some(*bytes),
        _ => None,
    });
    said.ok_or_else(|| (Outcome::Fail, "the guest ended without a dump".to_owned()))
}
