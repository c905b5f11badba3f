// SPDX-License-Identifier: GPL-2.0-or-later
//! The verdict: from the content of the dump, never from "a file exists".

use super::cycle::Recording;
use super::report::{Check, Outcome, Report};
use super::scenario::Scenario;
use crate::event::Event;
use crate::facts::{Context, Facts};
use crate::init::Collector;
use crate::initramfs::MKDFINFO_PATH;
use crate::vm::End;
use anyhow::Result;
use modlogic::lkdtm::points::{ANY, Contexts, HARDIRQ, NMI, Point, SOFTIRQ, TASK};
use modlogic::lkdtm::types::Type;
use std::path::Path;

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
    let judged = came_to_a_dump(&recording).and_then(|(dump, said_bytes)| {
        let facts = Facts::read(dump).map_err(|error| (Outcome::Fail, format!("{error:#}")))?;
        let bytes = dump.metadata().map_or(0, |m| m.len());
        judge_facts(scenario, &facts, &mut report);
        report.dump_bytes = bytes;
        check_layout_source(scenario, &recording, &mut report.checks);
        check(
            &mut report.checks,
            "dump size",
            format!("{said_bytes} bytes"),
            format!("{bytes} bytes"),
            bytes == said_bytes,
        );
        match report.checks.iter().find(|check| !check.ok) {
            None => Ok(()),
            Some(bad) => Err((
                Outcome::Fail,
                format!("{} is {}, expected {}", bad.name, bad.found, bad.expected),
            )),
        }
    });
    (report.outcome, report.reason) = match judged {
        Ok(()) => (Outcome::Pass, None),
        Err((outcome, reason)) => (outcome, Some(reason)),
    };
    report
}

/// Compares what the dump says with what the scenario was to do.
fn judge_facts(scenario: &Scenario, facts: &Facts, report: &mut Report) {
    let symbol = armed_symbol(facts);
    let point = Point::find(&scenario.point);
    report.context = Some(facts.context.to_string());
    report.cpu = Some(facts.cpu);
    report.symbol.clone_from(&symbol);
    let checks = &mut report.checks;

    check(
        checks,
        "kernel",
        report.kernel.clone(),
        facts.release.clone(),
        facts.release == report.kernel,
    );
    check(
        checks,
        "complete",
        "yes".into(),
        if facts.incomplete { "no" } else { "yes" }.into(),
        !facts.incomplete,
    );

    let crash_type = Type::find(&scenario.crash_type);
    let expected = crash_type.map_or(&[][..], |t| t.expect);
    let cause = expected
        .iter()
        .find_map(|text| facts.log_lines(text).next());
    let found = cause.map_or_else(|| last_lines(facts), strip_stamp);
    check(
        checks,
        "cause",
        format!("one of {expected:?}"),
        found,
        cause.is_some(),
    );

    let at_point = point.map_or(ANY, |p| p.contexts);
    let contexts = crash_type.map_or(at_point, |t| t.crash_contexts(at_point));
    check(
        checks,
        "context",
        name_contexts(contexts),
        facts.context.to_string(),
        contexts & bit(facts.context) != 0,
    );

    let on = format!("CPU: {} ", facts.cpu);
    let header = facts.log_lines(&on).last();
    let found = header.map_or_else(
        || format!("panic_cpu {}, not in the log", facts.cpu),
        strip_stamp,
    );
    check(
        checks,
        "cpu",
        format!("the log names panic_cpu {} as well", facts.cpu),
        found,
        header.is_some(),
    );

    if crash_type.is_some_and(Type::crashes_elsewhere) {
        check_fired(checks, facts);
    } else {
        check_stack(checks, facts, point.is_some_and(Point::is_direct), symbol);
    }
}

/// The crash is not where the point was: on another CPU, in another context, on another stack.
fn check_fired(checks: &mut Vec<Check>, facts: &Facts) {
    let fires = facts.log_lines(" fires: symbol=").next();
    check(
        checks,
        "fired",
        "lkdtm's 'fires' line in the log".into(),
        fires.map_or_else(|| "no such line".to_owned(), strip_stamp),
        fires.is_some(),
    );
}

/// The probed symbol must be on the stack of the CPU that crashed.
fn check_stack(checks: &mut Vec<Check>, facts: &Facts, direct: bool, symbol: Option<String>) {
    // A direct crash has no probe: there it is modprobe's system call that must be on the stack.
    let wanted = match (direct, symbol) {
        (true, _) => Some("do_one_initcall".to_owned()),
        (false, symbol) => symbol,
    };
    match wanted {
        Some(symbol) => {
            let place = facts.stack_shows(&symbol);
            let found = format!("{symbol}: {}", place.unwrap_or("not on the stack"));
            check(
                checks,
                "stack",
                format!("{symbol} on the stack of CPU {}", facts.cpu),
                found,
                place.is_some(),
            );
        }
        None => check(
            checks,
            "stack",
            "lkdtm's 'armed' line in the log".into(),
            "no such line".into(),
            false,
        ),
    }
}

/// Our filter must have worked with the crashed kernel's own mkdfinfo file.
fn check_layout_source(scenario: &Scenario, recording: &Recording, checks: &mut Vec<Check>) {
    if !matches!(scenario.collector, Collector::Filter { .. }) {
        return;
    }
    let used = recording.events.iter().find_map(|event| match event {
        Event::Dump { filter, .. } => filter.as_ref()?.get("mkdfinfo")?.as_str(),
        _ => None,
    });
    check(
        checks,
        "layout",
        format!("filtered with {MKDFINFO_PATH}"),
        used.map_or("the note alone".into(), |used| {
            format!("filtered with {used}")
        }),
        used == Some(MKDFINFO_PATH),
    );
}

fn check(checks: &mut Vec<Check>, name: &'static str, expected: String, found: String, ok: bool) {
    checks.push(Check {
        name,
        expected,
        found,
        ok,
    });
}

/// The symbol in lkdtm's `crash point … armed: symbol=…` line, without an offset.
fn armed_symbol(facts: &Facts) -> Option<String> {
    let line = facts
        .log_lines("lkdtm: crash point ")
        .filter(|line| line.contains(" armed: symbol="))
        .last()?;
    let symbol = line.split("symbol=").nth(1)?.split([' ', '+']).next()?;
    let symbol = symbol.rsplit(':').next().unwrap_or(symbol);
    Some(symbol.to_owned())
}

/// `[    3.14] text` → `text`.
fn strip_stamp(line: &str) -> String {
    line.split_once("] ")
        .map_or(line, |(_, text)| text)
        .trim()
        .to_owned()
}

fn last_lines(facts: &Facts) -> String {
    let lines: Vec<&str> = facts.dmesg.lines().rev().take(3).collect();
    format!(
        "not in the log, which ends with {:?}",
        lines
            .iter()
            .rev()
            .map(|l| strip_stamp(l))
            .collect::<Vec<_>>()
    )
}

fn bit(context: Context) -> Contexts {
    match context {
        Context::Task => TASK,
        Context::Softirq => SOFTIRQ,
        Context::Hardirq => HARDIRQ,
        Context::Nmi => NMI,
    }
}

fn name_contexts(contexts: Contexts) -> String {
    let names = [
        (TASK, "task"),
        (SOFTIRQ, "softirq"),
        (HARDIRQ, "hardirq"),
        (NMI, "nmi"),
    ];
    let names: Vec<&str> = names
        .iter()
        .filter(|(bit, _)| contexts & bit != 0)
        .map(|(_, name)| *name)
        .collect();
    names.join(" or ")
}

/// Before the dump is looked at: did the guest end by itself, and did it say that it wrote one?
fn came_to_a_dump(recording: &Recording) -> Result<(&Path, u64), (Outcome, String)> {
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
    match (recording.dump.as_deref(), said) {
        (Some(dump), Some(bytes)) => Ok((dump, bytes)),
        (None, Some(_)) => Err((
            Outcome::Fail,
            "the dump that was announced is not on the disk".to_owned(),
        )),
        (_, None) => Err((
            Outcome::Fail,
            "the guest ended without announcing a dump".to_owned(),
        )),
    }
}
