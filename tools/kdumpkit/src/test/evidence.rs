// SPDX-License-Identifier: GPL-2.0-or-later
//! What a dump says, held against what its scenario expects: one check after the other.

use super::report::{Check, Report};
use super::scenario::Scenario;
use crate::facts::{Context, Facts};
use anyhow::{Context as _, Result};
use std::path::Path;
use vmcore::{Dump, Pfn};

/// By which a stack shows how the CPU left what it was doing.
const ENTRIES: [(Context, &[&str]); 3] = [
    (
        Context::Hardirq,
        &[
            "asm_common_interrupt",
            "asm_sysvec_",
            "common_interrupt",
            "sysvec_",
        ],
    ),
    (
        Context::Softirq,
        &["handle_softirqs", "__do_softirq", "do_softirq"],
    ),
    (
        Context::Nmi,
        &[
            "asm_exc_",
            "exc_",
            "end_repeat_nmi",
            "default_do_nmi",
            "handle_stack_overflow",
        ],
    ),
];

/// A dump and what was read from it.
#[derive(Debug)]
pub struct Evidence {
    /// Size of the file.
    pub bytes: u64,
    /// The crash.
    pub facts: Facts,
    /// Every page in the dump, read and unpacked; or what stopped that.
    pub pages: Result<u64, String>,
    /// Bytes of the log that was written beside the dump; 0 when there is none.
    pub log_file_bytes: u64,
}

impl Evidence {
    /// Reads all of it.
    ///
    /// # Errors
    /// The file is no dump, or so broken that it does not say who crashed.
    pub fn read(path: &Path) -> Result<Self> {
        let size = |path: &Path| path.metadata().map_or(0, |m| m.len());
        let facts = Facts::read(path)
            .with_context(|| format!("the dump of {} bytes is not readable", size(path)))?;
        Ok(Self {
            bytes: size(path),
            facts,
            pages: read_every_page(path).map_err(|error| format!("{error:#}")),
            log_file_bytes: size(&path.with_file_name("vmcore-dmesg.txt")),
        })
    }
}

/// Reads and unpacks every page that the dump says it holds.
fn read_every_page(path: &Path) -> Result<u64> {
    let dump = Dump::open(path)?;
    let mut page = vec![0; 4096];
    let mut pages = 0;
    for range in dump.ram()? {
        for pfn in range.start.0..range.end.0 {
            match dump.read_phys(Pfn(pfn).addr(), &mut page) {
                Ok(()) => pages += 1,
                Err(vmcore::Error::Absent(..)) => {}
                Err(error) => return Err(error).with_context(|| format!("page {pfn:#x}")),
            }
        }
    }
    Ok(pages)
}

/// Adds the checks and what the dump says to the report.
pub fn check(scenario: &Scenario, evidence: &Evidence, said_bytes: u64, report: &mut Report) {
    let facts = &evidence.facts;
    let header = cpu_header(facts);
    report.context = Some(facts.context.to_string());
    report.cpu = Some(facts.cpu);
    report.symbol = symbol_in_log(facts.dmesg.lines());
    report.task = header.and_then(task_in);
    let symbol = report.symbol.clone();
    let kernel = report.kernel.clone();
    let checks = &mut report.checks;
    checks.push(same("kernel", &kernel, &facts.release));
    checks.push(complete(evidence));
    checks.push(cause(scenario, facts));
    checks.push(context(scenario, facts));
    checks.push(cpu(scenario, facts, header));
    checks.push(task(facts, header));
    if scenario.expect.fires {
        checks.push(fires(facts));
    }
    for wanted in &scenario.expect.stack {
        checks.push(on_stack(facts, wanted, symbol.as_deref()));
    }
    checks.extend(entry(scenario, facts));
    checks.push(dmesg(evidence));
    checks.push(same(
        "dump size",
        &format!("{said_bytes} bytes"),
        &format!("{} bytes", evidence.bytes),
    ));
}

fn new(name: &str, expected: impl Into<String>, found: impl Into<String>, ok: bool) -> Check {
    Check {
        name: name.to_owned(),
        expected: expected.into(),
        found: found.into(),
        ok,
    }
}

fn same(name: &str, expected: &str, found: &str) -> Check {
    new(name, expected, found, expected == found)
}

fn complete(evidence: &Evidence) -> Check {
    let (found, ok) = match &evidence.pages {
        Ok(pages) if !evidence.facts.incomplete => {
            (format!("yes, {pages} pages read back"), *pages > 0)
        }
        Ok(_) => ("it calls itself incomplete".to_owned(), false),
        Err(error) => (format!("not readable to its end: {error}"), false),
    };
    new("complete", "every page can be read back", found, ok)
}

fn cause(scenario: &Scenario, facts: &Facts) -> Check {
    let expected = &scenario.expect.cause;
    let cause = expected
        .iter()
        .find_map(|text| facts.log_lines(text).next());
    let found = match cause {
        Some(line) => strip_stamp(line),
        None => said_instead(facts),
    };
    new(
        "cause",
        format!("one of {expected:?}"),
        found,
        cause.is_some(),
    )
}

fn context(scenario: &Scenario, facts: &Facts) -> Check {
    let found = facts.context.to_string();
    let ok = scenario.expect.contexts.contains(&found);
    new("context", scenario.expect.contexts.join(" or "), found, ok)
}

/// The last `CPU: N … PID: …` line of the log that is about the CPU that panicked.
fn cpu_header(facts: &Facts) -> Option<&str> {
    let on = format!("CPU: {} ", facts.cpu);
    let mut lines = facts
        .dmesg
        .lines()
        .filter(|line| line.contains(&on) && line.contains(" PID: "));
    lines.next_back()
}

fn cpu(scenario: &Scenario, facts: &Facts, header: Option<&str>) -> Check {
    let wanted = scenario.expect.cpu;
    let expected = match wanted {
        Some(cpu) => format!("CPU {cpu}, in panic_cpu and in the log"),
        None => format!("the log names panic_cpu {} as well", facts.cpu),
    };
    let found = match header {
        Some(line) => strip_stamp(line),
        None => format!("panic_cpu {}, not in the log", facts.cpu),
    };
    let ok = header.is_some() && wanted.is_none_or(|cpu| cpu == facts.cpu);
    new("cpu", expected, found, ok)
}

/// The registers in the dump belong to the task that the log names.
fn task(facts: &Facts, header: Option<&str>) -> Check {
    let found = header.and_then(task_in);
    let pid = found
        .as_deref()
        .and_then(|t| t.split(' ').next()?.parse::<u32>().ok());
    new(
        "task",
        format!("PID {}, of whom the dump has the registers", facts.pid),
        found.unwrap_or_else(|| "no task in the log".to_owned()),
        pid == Some(facts.pid),
    )
}

/// `… PID: 42 Comm: modprobe …` → `42 modprobe`
fn task_in(header: &str) -> Option<String> {
    let (_, rest) = header.split_once(" PID: ")?;
    let (pid, rest) = rest.split_once(" Comm: ")?;
    let comm = [" Kdump:", " Not tainted", " Tainted:"]
        .iter()
        .filter_map(|end| rest.find(end))
        .min()
        .map_or(rest, |end| &rest[..end]);
    Some(format!("{} {}", pid.trim(), comm.trim()))
}

/// The crash is not where the point was: on another CPU, in another context, on another stack.
fn fires(facts: &Facts) -> Check {
    let line = facts.log_lines(" fires: symbol=").next();
    new(
        "fired",
        "lkdtm's 'fires' line in the log",
        line.map_or_else(|| "no such line".to_owned(), strip_stamp),
        line.is_some(),
    )
}

fn on_stack(facts: &Facts, wanted: &str, symbol: Option<&str>) -> Check {
    let wanted = match (wanted, symbol) {
        ("$symbol", None) => {
            return new(
                "stack",
                "lkdtm's 'armed' or 'fires' line in the log",
                "no such line",
                false,
            );
        }
        ("$symbol", Some(symbol)) => symbol,
        (other, _) => other,
    };
    // GCC splits functions: out_of_memory.cold is out_of_memory, too.
    let part = facts
        .stack
        .iter()
        .map(|f| f.symbol.as_str())
        .find(|s| s.split('.').next() == Some(wanted));
    let place = facts.stack_shows(part.unwrap_or(wanted));
    new(
        "stack",
        format!("{wanted} on the stack of CPU {}", facts.cpu),
        format!("{wanted}: {}", place.unwrap_or("not on the stack")),
        place.is_some(),
    )
}

/// A crash in an interrupt shows by which entry the interrupt came: on the stack, or in the log's call trace when the
/// dump has the registers of what was interrupted (die() keeps those of the fault).
fn entry(scenario: &Scenario, facts: &Facts) -> Option<Check> {
    // The registers of a full stack are those before the exception, which has a stack of its own.
    let full = facts.log_lines("stack guard page was hit").next().is_some();
    if scenario.expect.stack.is_empty() || full {
        return None;
    }
    let (_, entries) = ENTRIES
        .iter()
        .find(|(context, _)| *context == facts.context)?;
    let on_stack = facts
        .stack
        .iter()
        .rev()
        .find(|frame| entries.iter().any(|e| frame.symbol.starts_with(e)))
        .map(|frame| format!("{}+{:#x}", frame.symbol, frame.offset));
    let in_trace = || {
        let is_entry = |line: &&str| {
            let calls = line.contains("+0x") && entries.iter().any(|e| line.starts_with(e));
            // The fault of a full stack is taken like an NMI; the log tells of it without the way there.
            calls || (facts.context == Context::Nmi && line.starts_with("Oops: "))
        };
        let mut calls = facts
            .dmesg
            .lines()
            .map(|line| line.split_once("] ").map_or(line, |l| l.1).trim());
        calls
            .find(is_entry)
            .map(|line| format!("{line} in the log"))
    };
    let found = on_stack.or_else(in_trace);
    Some(new(
        "entry",
        format!(
            "how the CPU came into {}: {}",
            facts.context,
            entries.join(", ")
        ),
        found
            .clone()
            .unwrap_or_else(|| "none of them on the stack".to_owned()),
        found.is_some(),
    ))
}

/// The log reaches from the boot to the crash, and is beside the dump as text as well.
fn dmesg(evidence: &Evidence) -> Check {
    let dmesg = &evidence.facts.dmesg;
    let begins = dmesg.contains("Linux version ") || dmesg.lines().count() > 1000;
    new(
        "dmesg",
        "the log from boot on, in the dump and as vmcore-dmesg.txt",
        format!(
            "{} lines, file of {} bytes",
            dmesg.lines().count(),
            evidence.log_file_bytes
        ),
        begins && evidence.log_file_bytes > 0,
    )
}

/// The symbol in lkdtm's `crash point … armed: symbol=…` or `fires: symbol=…` line, without an offset. A point that is hit all
/// the time fires before lkdtm has said that it is armed.
fn symbol_in_log<'l>(lines: impl Iterator<Item = &'l str>) -> Option<String> {
    let line = lines
        .filter(|line| line.contains("lkdtm: crash point "))
        .filter(|line| line.contains(" armed: symbol=") || line.contains(" fires: symbol="))
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

/// The log's own words about its end, when the expected ones are missing.
fn said_instead(facts: &Facts) -> String {
    let panic = facts.log_lines("Kernel panic - not syncing").last();
    match panic.or_else(|| facts.dmesg.lines().last()) {
        Some(line) => strip_stamp(line),
        None => "not in the log, which is empty".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbol_when_armed_or_fired_is_the_one_of_the_last_line() {
        let armed = "[    7.7] lkdtm: crash point FS_DEVRW armed: symbol=ext4:ext4_readdir+0x4 type=PANIC count=10";
        let fires = "[   97.3] lkdtm: crash point TIMERADD fires: symbol=hrtimer_start_range_ns type=EXCEPTION context=task cpu=1";
        for (lines, symbol) in [
            (&[armed][..], Some("ext4_readdir")),
            (&[fires], Some("hrtimer_start_range_ns")),
            (&[armed, fires], Some("hrtimer_start_range_ns")),
            (
                &["[ 1.0] usb 1-1: symbol=x", "lkdtm: crash point A refused"],
                None,
            ),
            (&[], None),
        ] {
            assert_eq!(symbol_in_log(lines.iter().copied()).as_deref(), symbol);
        }
    }
}
