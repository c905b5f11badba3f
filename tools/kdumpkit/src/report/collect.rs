// SPDX-License-Identifier: GPL-2.0-or-later
//! Everything that a report says. A part that cannot be read costs that part, and is named.

use crate::facts::Code;
use crate::facts::cpu::{self, Cpu};
use crate::facts::layout::Layout;
use crate::facts::modules::{self, Module};
use crate::facts::system::{self, HardwareErrors, MemoryUse, Taint, Uname};
use crate::facts::unwind::Frame;
use anyhow::Result;
use serde::Serialize;
use std::path::Path;
use vmcore::{Dump, Format};

/// Functions by which the kernel itself goes down; the crash is where they were called from.
const MACHINERY: [&str; 32] = [
    "__crash_kexec",
    "crash_kexec",
    "panic",
    "vpanic",
    "oops_end",
    "oops_exit",
    "die",
    "die_addr",
    "__die",
    "__die_body",
    "__die_header",
    "do_trap",
    "do_trap_no_signal",
    "do_error_trap",
    "handle_bug",
    "page_fault_oops",
    "no_context",
    "kernelmode_fixup_or_oops",
    "__bad_area_nosemaphore",
    "bad_area_nosemaphore",
    "__bad_area",
    "do_kern_addr_fault",
    "do_user_addr_fault",
    "crash_setup_regs",
    "nmi_panic",
    "check_panic_on_warn",
    "__warn",
    "report_bug",
    "__report_bug",
    "machine_kexec",
    "crash_save_cpu",
    "gp_user_force_sig_segv",
];
/// Entry code of exceptions: asm_exc_page_fault and exc_page_fault.
const EXCEPTION_ENTRIES: [&str; 2] = ["exc_", "asm_exc_"];
/// Lines of the log that say that something is wrong, before the panic itself.
const COMPLAINTS: [&str; 8] = [
    "BUG:",
    "kernel BUG at",
    "Oops:",
    "general protection fault",
    "WARNING:",
    "soft lockup",
    "hard LOCKUP",
    "Hardware Error",
];
pub(super) const PANIC: &str = "Kernel panic - not syncing: ";
/// A log of a machine that complained for weeks.
const MAX_COMPLAINTS: usize = 5;
/// Longer lines are no lines of a kernel log (1024 bytes and a prefix).
const MAX_LINE_CHARS: usize = 2048;

/// One dump's report.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The dump file.
    pub file: File,
    /// How it ended.
    pub crash: Crash,
    /// Who `uname -a` said it was.
    pub kernel: Option<Uname>,
    /// GNU build id of the kernel.
    pub build_id: Option<String>,
    /// The kernel's command line.
    pub cmdline: Option<String>,
    /// The machine's name, from the log.
    pub hardware: Option<String>,
    /// The processor's name.
    pub processor: Option<String>,
    /// Why the kernel called itself tainted.
    pub taints: Vec<Taint>,
    /// All CPUs that saved their registers.
    pub cpus: Vec<Cpu>,
    /// Where the memory was.
    pub memory: Option<MemoryUse>,
    /// Recovered hardware errors.
    pub hardware_errors: Vec<HardwareErrors>,
    /// Loaded modules, the newest first.
    pub modules: Vec<Module>,
    /// Number of lines of the whole kernel log.
    pub log_total: usize,
    /// The end of the kernel log.
    pub log: Vec<String>,
    /// What could not be read, and why.
    pub problems: Vec<String>,
}

/// The dump file itself.
#[derive(Debug, Serialize)]
pub struct File {
    /// Its name as given.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its format.
    pub format: &'static str,
    /// The dump level that it states.
    pub level: Option<u32>,
    /// Whether its writer marked it as cut short.
    pub incomplete: bool,
}

/// How the machine ended.
#[derive(Debug, Default, Serialize)]
pub struct Crash {
    /// The reason that panic() was given, or the oops without one; None when no CPU has panicked.
    pub reason: Option<String>,
    /// Complaints in the log before it, the last few.
    pub complaints: Vec<String>,
    /// The CPU that took the machine down.
    pub cpu: Option<u32>,
    /// The function in which it happened, below the kernel's own way down.
    pub place: Option<String>,
    /// When, in seconds since 1970.
    pub time: Option<u64>,
    /// Time of the last line of the log, in seconds since boot.
    pub uptime_s: Option<f64>,
}

impl Report {
    /// Reads the report. Never fails: an empty report has problems.
    pub fn read(dump: &Dump, path: &Path, log_lines: usize) -> Report {
        let mut problems = Vec::new();
        let mut note = |what: &str, error: anyhow::Error| {
            problems.push(clean(&format!("{what}: {error:#}")));
        };
        let layout = Layout::read(dump).unwrap_or_else(|error| {
            note("types", error);
            Layout::default()
        });
        let log = dump.dmesg().unwrap_or_else(|error| {
            note("kernel log", error.into());
            String::new()
        });
        let lines: Vec<String> = log.lines().map(clean).collect();
        let mut part = |what: &str, error: Option<anyhow::Error>| {
            if let Some(error) = error {
                note(what, error);
            }
        };
        let modules = or(modules::list(dump, &layout), "modules", &mut part).unwrap_or_default();
        let panicked = or(cpu::panic_cpu(dump), "crashed CPU", &mut part);
        let cpus = read_cpus(dump, &layout, &modules, panicked);
        if cpus.is_empty() {
            part(
                "CPUs",
                Some(anyhow::anyhow!(
                    "the dump has no registers (NT_PRSTATUS notes)"
                )),
            );
        }
        let mut report = Report {
            file: file(dump, path),
            crash: crash(dump, &lines, panicked),
            kernel: or(system::uname(dump, &layout), "kernel", &mut part),
            build_id: dump.vmcoreinfo().build_id().map(clean),
            cmdline: or(system::cmdline(dump), "command line", &mut part),
            hardware: hardware(&lines),
            processor: or(system::processor(dump, &layout), "processor", &mut part),
            taints: or(system::taints(dump), "taints", &mut part).unwrap_or_default(),
            memory: or(system::memory(dump, &layout), "memory", &mut part),
            hardware_errors: or(
                system::hardware_errors(dump, &layout),
                "hardware errors",
                &mut part,
            )
            .unwrap_or_default(),
            log_total: lines.len(),
            log: lines[lines.len().saturating_sub(log_lines)..].to_vec(),
            modules,
            cpus,
            problems,
        };
        report.crash.place = report
            .crashed_cpu()
            .and_then(|cpu| place(&cpu.stack.frames))
            .map(|frame| frame.to_string());
        report.clean();
        report
    }

    /// The CPU that took the machine down.
    pub fn crashed_cpu(&self) -> Option<&Cpu> {
        let number = self.crash.cpu?;
        self.cpus.iter().find(|cpu| cpu.number == number)
    }

    /// All others.
    pub fn other_cpus(&self) -> impl Iterator<Item = &Cpu> {
        let crashed = self.crash.cpu;
        self.cpus
            .iter()
            .filter(move |cpu| Some(cpu.number) != crashed)
    }

    /// The machine's name in the network, when it had got one.
    pub fn host(&self) -> Option<&str> {
        let name = self.kernel.as_ref()?.nodename.as_str();
        (!["", "(none)"].contains(&name)).then_some(name)
    }

    /// The headline.
    pub fn reason(&self) -> &str {
        let fallback = match self.crash.cpu {
            Some(_) => "A CPU has panicked, and the log does not say why",
            None => "No CPU has panicked: the machine was stopped from outside",
        };
        self.crash.reason.as_deref().unwrap_or(fallback)
    }

    /// Complaints that the headline does not say already.
    pub fn complaints(&self) -> impl Iterator<Item = &String> {
        let said = self.crash.reason.as_ref();
        self.crash
            .complaints
            .iter()
            .filter(move |line| Some(*line) != said)
    }

    /// A hostile dump must not speak to the terminal. (Log, reason and problems are clean already.)
    fn clean(&mut self) {
        let uname = self.kernel.iter_mut().flat_map(|k| {
            [
                &mut k.release,
                &mut k.version,
                &mut k.machine,
                &mut k.nodename,
            ]
        });
        let lines = [
            &mut self.cmdline,
            &mut self.processor,
            &mut self.crash.place,
        ];
        let modules = self
            .modules
            .iter_mut()
            .flat_map(|m| [&mut m.name, &mut m.version]);
        let tasks = self.cpus.iter_mut().flat_map(|cpu| {
            let task = cpu.task.iter_mut().flat_map(|task| {
                std::iter::once(&mut task.comm).chain(task.parent.iter_mut().map(|p| &mut p.0))
            });
            let frames = cpu
                .stack
                .frames
                .iter_mut()
                .flat_map(|frame| std::iter::once(&mut frame.symbol).chain(&mut frame.module));
            task.chain(frames)
        });
        let all = uname
            .chain(lines.into_iter().flatten())
            .chain(modules)
            .chain(tasks);
        all.for_each(|text| *text = clean(text));
    }
}

/// The value, or none and a problem.
fn or<T>(
    result: Result<T>,
    what: &str,
    part: &mut impl FnMut(&str, Option<anyhow::Error>),
) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            part(what, Some(error));
            None
        }
    }
}

fn file(dump: &Dump, path: &Path) -> File {
    File {
        path: clean(&path.display().to_string()),
        bytes: path.metadata().map_or(0, |meta| meta.len()),
        format: match dump.format() {
            Format::Elf => "ELF",
            Format::Kdump => "kdump-compressed",
        },
        level: dump.dump_level(),
        incomplete: dump.is_incomplete(),
    }
}

fn read_cpus(dump: &Dump, layout: &Layout, modules: &[Module], crashed: Option<u32>) -> Vec<Cpu> {
    let mut code = Code::new(dump, layout, modules);
    let statuses = dump.prstatus();
    let cpus = statuses
        .iter()
        .map(|status| cpu::read(dump, layout, &mut code, status, crashed == Some(status.cpu)));
    cpus.collect()
}

fn crash(dump: &Dump, lines: &[String], cpu: Option<u32>) -> Crash {
    let panic = lines.iter().rposition(|line| line.contains(PANIC));
    let before = &lines[..panic.unwrap_or(lines.len())];
    let mut complaints: Vec<String> = before
        .iter()
        .rev()
        .filter(|line| complains(line))
        .take(MAX_COMPLAINTS)
        .map(|line| unstamped(line).to_owned())
        .collect();
    complaints.reverse();
    let panic = panic
        .and_then(|i| lines[i].split_once(PANIC))
        .map(|(_, reason)| format!("{PANIC}{reason}"));
    // An oops in an interrupt, or one that must not be survived, goes to the capture kernel without a panic line.
    let oops = complaints.iter().rfind(|line| !line.contains("Oops:"));
    let oops = cpu.and_then(|_| oops.or(complaints.last()).cloned());
    Crash {
        reason: panic.or(oops),
        complaints,
        cpu,
        place: None,
        time: dump.vmcoreinfo().crash_time(),
        uptime_s: lines.iter().rev().find_map(|line| seconds(line)),
    }
}

/// Whether a line of the log says that something is wrong.
pub(super) fn complains(line: &str) -> bool {
    COMPLAINTS.iter().any(|mark| line.contains(mark))
}

/// The first function that is no part of the kernel's way down.
pub(super) fn place(frames: &[Frame]) -> Option<&Frame> {
    let machinery = |frame: &&Frame| {
        let name = frame.symbol.as_str();
        // GCC names parts of a function it has split: page_fault_oops.cold
        let whole = name.split('.').next().unwrap_or(name);
        MACHINERY.contains(&whole)
            || EXCEPTION_ENTRIES
                .iter()
                .any(|entry| name.starts_with(entry))
    };
    frames
        .iter()
        .find(|frame| frame.interrupted || !machinery(frame))
}

fn hardware(lines: &[String]) -> Option<String> {
    let marks = ["Hardware name: ", "DMI: "];
    marks.iter().find_map(|mark| {
        let line = lines.iter().find(|line| line.contains(mark))?;
        Some(line.split_once(mark)?.1.to_owned())
    })
}

/// Seconds since boot in `[   12.345678] text`.
fn seconds(line: &str) -> Option<f64> {
    line.strip_prefix('[')?
        .split_once(']')?
        .0
        .trim()
        .parse()
        .ok()
}

fn unstamped(line: &str) -> &str {
    line.split_once("] ").map_or(line, |(_, text)| text)
}

/// Control characters become visible, endless lines end.
fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().take(MAX_LINE_CHARS) {
        match c {
            '\t' => out.push(' '),
            c if c.is_control() => out.extend(c.escape_default()),
            // They would show the rest of the line in another order.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::facts::Context;
    use crate::facts::cpu::Task;
    use crate::facts::unwind::{End, Stack};

    fn frame(symbol: &str, interrupted: bool) -> Frame {
        Frame {
            symbol: symbol.into(),
            offset: 0x10,
            module: None,
            ip: 0,
            sp: 0,
            interrupted,
            guessed: false,
        }
    }

    /// A crash in an interrupt, as a hostile dump would tell it.
    pub fn hostile() -> Report {
        let bad = "<script>alert('x')</script>\u{1b}[2J\u{202e}\"";
        let task = Task {
            pid: 7,
            tgid: 7,
            comm: bad.into(),
            kernel_thread: false,
            parent: Some((bad.into(), 1)),
        };
        let frames = ["panic", "exc_page_fault", bad, "do_idle"];
        let frames = frames.iter().zip([false, false, true, false]);
        let log = [
            format!("[    3.5] {PANIC}{bad}"),
            format!("[    4.25] {bad}"),
        ];
        let lines: Vec<String> = log.iter().map(|line| clean(line)).collect();
        let mut report = Report {
            file: File {
                path: clean(bad),
                bytes: 1,
                format: "ELF",
                level: Some(31),
                incomplete: true,
            },
            crash: Crash {
                reason: Some(clean(&log[0])),
                complaints: vec![clean(bad)],
                cpu: Some(1),
                place: Some(bad.into()),
                time: Some(u64::MAX),
                uptime_s: lines.iter().rev().find_map(|line| seconds(line)),
            },
            kernel: Some(Uname {
                release: bad.into(),
                version: bad.into(),
                machine: bad.into(),
                nodename: bad.into(),
            }),
            build_id: Some(clean(bad)),
            cmdline: Some(bad.into()),
            hardware: Some(clean(bad)),
            processor: Some(bad.into()),
            taints: Vec::new(),
            cpus: vec![Cpu {
                number: 1,
                task: Some(task),
                context: Some(Context::Hardirq),
                stack: Stack {
                    frames: frames.map(|(name, on)| frame(name, on)).collect(),
                    end: End::Lost("why".into()),
                },
            }],
            memory: Some(MemoryUse {
                total: 0,
                free: u64::MAX,
                anonymous: 0,
                file: 0,
                shared: 0,
                slab_reclaimable: 0,
                slab_unreclaimable: 0,
                page_tables: 0,
            }),
            hardware_errors: Vec::new(),
            modules: Vec::new(),
            log_total: 2,
            log: lines,
            problems: vec![clean(bad)],
        };
        report.clean();
        report
    }

    #[test]
    fn place_when_an_exception_was_taken_is_where_it_was_taken() {
        let frames = [
            frame("vpanic", false),
            frame("page_fault_oops.cold", false),
            frame("asm_exc_page_fault", false),
            frame("panic", true),
            frame("do_idle", false),
        ];
        assert_eq!(place(&frames).unwrap().symbol, "panic");
        assert_eq!(place(&frames[..2]), None);
        assert_eq!(place(&frames[4..]).unwrap().symbol, "do_idle");
    }

    #[test]
    fn clean_when_terminal_sequences_are_in_a_line_shows_them() {
        assert_eq!(clean("a\u{1b}[2Jb\tc\u{7}"), "a\\u{1b}[2Jb c\\u{7}");
        assert_eq!(clean("x\u{202e}y"), "x\\u{202e}y");
        assert_eq!(clean(&"é".repeat(5000)).chars().count(), MAX_LINE_CHARS);
    }

    #[test]
    fn text_when_the_dump_is_hostile_has_no_control_characters() {
        let text = super::super::text::text(&hostile());
        assert!(
            !text.chars().any(|c| c.is_control() && c != '\n'),
            "{text:?}"
        );
        assert!(!text.contains('\u{202e}'), "{text:?}");
        assert!(text.contains("CPU 1, in a hard interrupt"), "{text}");
        assert!(text.contains("the dump was cut short"), "{text}");
        assert!(text.contains("4.2 s after boot"), "{text}");
    }
}
