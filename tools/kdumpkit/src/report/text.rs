// SPDX-License-Identifier: GPL-2.0-or-later
//! The report for a terminal, a mail, a ticket.

use super::Report;
use crate::facts::cpu::{Cpu, Task};
use crate::facts::system::MemoryUse;
use crate::facts::unwind::{End, Stack};
use jiff::Timestamp;
use std::fmt::Write as _;

/// How a line of the stack says that it was interrupted.
pub(super) const INTERRUPTED: &str = "interrupted here";

/// The whole report. Writing to a String cannot fail.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    head(&mut out, report);
    machine_chapter(&mut out, report);
    cpus(&mut out, report);
    memory(&mut out, report);
    modules(&mut out, report);
    log(&mut out, report);
    for problem in &report.problems {
        let _ = writeln!(out, "not in this dump: {problem}");
    }
    out
}

fn field(out: &mut String, name: &str, value: &str) {
    let _ = writeln!(out, "  {name:<14} {value}");
}

fn head(out: &mut String, report: &Report) {
    let crash = &report.crash;
    let _ = writeln!(out, "{}", report.reason());
    if let Some(place) = &crash.place {
        field(out, "in", place);
    }
    if let Some(cpu) = report.crashed_cpu() {
        field(out, "on", &where_(cpu));
        if let Some(task) = &cpu.task {
            field(out, "task", &task_words(task));
        }
    }
    if let Some(when) = when(report) {
        field(out, "when", &when);
    }
    for complaint in report.complaints() {
        field(out, "before", complaint);
    }
    if report.file.incomplete {
        field(
            out,
            "beware",
            "the dump was cut short: parts of it are missing",
        );
    }
}

fn machine_chapter(out: &mut String, report: &Report) {
    let _ = writeln!(out, "\nMachine");
    for (name, value) in machine(report) {
        field(out, name, &value);
    }
    field(out, "dump", &file(report));
}

/// The machine and its kernel, name and value.
pub(super) fn machine(report: &Report) -> Vec<(&'static str, String)> {
    let kernel = report.kernel.as_ref();
    let known = [
        (
            "kernel",
            kernel.map(|k| format!("{} {}", k.release, k.machine)),
        ),
        ("version", kernel.map(|k| k.version.clone())),
        ("host", report.host().map(str::to_owned)),
        ("build id", report.build_id.clone()),
        ("command line", report.cmdline.clone()),
        ("hardware", report.hardware.clone()),
        ("processor", report.processor.clone()),
        ("tainted", Some(taints(report))),
    ];
    let recovered = report.hardware_errors.iter().map(|errors| {
        let what = format!("{} recovered: {}", errors.count, errors.source);
        ("hw errors", what)
    });
    let known = known
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    known.chain(recovered).collect()
}

fn cpus(out: &mut String, report: &Report) {
    if let Some(cpu) = report.crashed_cpu() {
        let _ = writeln!(out, "\nStack of CPU {}, which crashed", cpu.number);
        stack(out, &cpu.stack);
    }
    for cpu in report.other_cpus() {
        let task = cpu.task.as_ref().map(task_words).unwrap_or_default();
        let _ = writeln!(out, "\nStack of {}: {task}", where_(cpu));
        stack(out, &cpu.stack);
    }
}

fn stack(out: &mut String, stack: &Stack) {
    for (i, frame, times) in stack.runs() {
        if frame.interrupted && i > 0 {
            let _ = writeln!(out, "      {INTERRUPTED}:");
        }
        let guess = if frame.guessed { "? " } else { "" };
        let times = repeated(times);
        let _ = writeln!(out, "  {i:>3} {guess}{frame}{times}");
    }
    let _ = writeln!(out, "      {}", end(&stack.end));
}

fn memory(out: &mut String, report: &Report) {
    let Some(used) = &report.memory else {
        return;
    };
    let _ = writeln!(out, "\nMemory, {}", human(used.total));
    for (name, bytes) in memory_parts(used) {
        let percent = 100.0 * bytes as f64 / used.total.max(1) as f64;
        field(out, name, &format!("{:<12} {percent:4.1} %", human(bytes)));
    }
}

/// What the memory was used for; the parts make up all of it.
pub(super) fn memory_parts(used: &MemoryUse) -> [(&'static str, u64); 7] {
    [
        ("free", used.free),
        ("page cache", used.file),
        ("anonymous", used.anonymous),
        ("slab, shrinks", used.slab_reclaimable),
        ("slab, other", used.slab_unreclaimable),
        ("page tables", used.page_tables),
        ("other", used.other()),
    ]
}

fn modules(out: &mut String, report: &Report) {
    let _ = writeln!(out, "\n{} modules, the newest first", report.modules.len());
    for module in &report.modules {
        let (name, bytes) = (&module.name, human(module.bytes));
        let (taints, version) = (&module.taints, &module.version);
        let line = format!("  {name:<24} {bytes:>12} {taints:<4} {version}");
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

fn log(out: &mut String, report: &Report) {
    let (shown, total) = (report.log.len(), report.log_total);
    let _ = writeln!(out, "\nKernel log, the last {shown} of {total} lines");
    for line in &report.log {
        let _ = writeln!(out, "  {line}");
    }
}

/// CPU and context of it.
pub(super) fn where_(cpu: &Cpu) -> String {
    use crate::facts::Context::{Hardirq, Nmi, Softirq, Task};
    let context = match cpu.context {
        Some(Task) => ", in task context",
        Some(Softirq) => ", in a softirq",
        Some(Hardirq) => ", in a hard interrupt",
        Some(Nmi) => ", in an NMI",
        None => "",
    };
    format!("CPU {}{context}", cpu.number)
}

/// Who it was.
pub(super) fn task_words(task: &Task) -> String {
    let what = match (task.pid, task.kernel_thread) {
        (0, _) => ", idle task".to_owned(),
        (_, true) => ", kernel thread".to_owned(),
        _ if task.tgid != task.pid => format!(", thread of process {}", task.tgid),
        _ => String::new(),
    };
    let parent = match &task.parent {
        Some((comm, pid)) if task.pid != 0 => format!(", child of {comm} ({pid})"),
        _ => String::new(),
    };
    format!("{} ({}){what}{parent}", task.comm, task.pid)
}

/// Time of the crash.
pub(super) fn when(report: &Report) -> Option<String> {
    let uptime = report
        .crash
        .uptime_s
        .map(|s| format!("{} after boot", duration(s)));
    let time = report.crash.time.and_then(|seconds| {
        let time = Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
        Some(time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
    });
    let parts: Vec<String> = time.into_iter().chain(uptime).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn duration(seconds: f64) -> String {
    let whole = seconds as u64;
    match (whole / 86400, whole / 3600 % 24, whole / 60 % 60) {
        (0, 0, 0) => format!("{seconds:.1} s"),
        (0, hours, minutes) => format!("{hours}:{minutes:02}:{:02} h", whole % 60),
        (days, hours, minutes) => format!("{days} days {hours}:{minutes:02} h"),
    }
}

/// Letters and meaning.
pub(super) fn taints(report: &Report) -> String {
    if report.taints.is_empty() {
        return "no".into();
    }
    let words = report
        .taints
        .iter()
        .map(|t| format!("{} {}", t.letter, t.meaning));
    words.collect::<Vec<_>>().join("; ")
}

/// The file in words.
pub(super) fn file(report: &Report) -> String {
    let file = &report.file;
    let level = file
        .level
        .map_or(String::new(), |level| format!(", level {level}"));
    let cut = if file.incomplete { ", INCOMPLETE" } else { "" };
    format!(
        "{}, {}, {}{level}{cut}",
        file.path,
        human(file.bytes),
        file.format
    )
}

/// How often a function called itself.
pub(super) fn repeated(times: usize) -> String {
    match times {
        1 => String::new(),
        times => format!(" ({times} times)"),
    }
}

/// How a stack ends.
pub(super) fn end(end: &End) -> String {
    match end {
        End::Start => "start of the stack".into(),
        End::User => "user space".into(),
        End::Lost(why) => format!("lost: {why}"),
    }
}

pub(super) fn human(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_when_short_and_long() {
        assert_eq!(duration(9.25), "9.2 s");
        assert_eq!(duration(3725.0), "1:02:05 h");
        assert_eq!(duration(200_000.0), "2 days 7:33 h");
    }
}
