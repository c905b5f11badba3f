// SPDX-License-Identifier: GPL-2.0-or-later
//! From facts to findings: what would happen on a crash right now, and what is missing.

use super::facts::Facts;
use crate::load::initramfs::{Mkdfinfo, missing};
use crate::load::iomem;
use serde::Serialize;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// A crash is captured, but not as configured, or not every crash.
    Warn,
    /// A crash is not captured.
    Missing,
}

impl Level {
    /// The word at the start of the line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Warn => "warn",
            Level::Missing => "MISSING",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How it is.
    pub level: Level,
    /// What was looked at.
    pub what: &'static str,
    /// What was found.
    pub says: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
}

pub(super) fn finding(
    level: Level,
    what: &'static str,
    says: impl Into<String>,
    todo: impl Into<Option<&'static str>>,
) -> Finding {
    Finding {
        level,
        what,
        says: says.into(),
        todo: todo.into().map(str::to_owned),
    }
}

/// Everything there is to say, in the order in which things happen.
#[must_use]
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![config(facts), memory(facts), loaded(facts), image(facts)];
    findings.extend(initramfs(facts));
    findings.extend(watchdogs(facts));
    findings.extend(targets(facts));
    findings.extend(panics(facts));
    findings.extend(early(facts));
    findings
}

fn config(facts: &Facts) -> Finding {
    match &facts.config {
        Ok(path) => finding(Level::Ok, "configuration", path.clone(), None),
        Err(words) => {
            let todo = "kdumpkit config check";
            finding(Level::Warn, "configuration", words.clone(), todo)
        }
    }
}

fn memory(facts: &Facts) -> Finding {
    let what = "crashkernel";
    let Some(region) = facts.memory.main else {
        let says = if facts.is_root {
            "no memory is reserved"
        } else {
            "addresses are hidden"
        };
        let todo = if facts.is_root {
            iomem::advice_when_none(&facts.cmdline)
        } else {
            "run this as root"
        };
        return finding(Level::Missing, what, says, todo);
    };
    let low = match facts.memory.low {
        Some(low) => format!(", and {} MiB below 4 GiB", low.bytes() >> 20),
        None => String::new(),
    };
    let says = format!("{} MiB at {region}{low}", region.bytes() >> 20);
    match facts.estimate_mib {
        Some(need) if region.bytes() >> 20 < need => finding(
            Level::Warn,
            what,
            format!("{says}, the last measured capture needed {need} MiB"),
            "boot with a larger crashkernel=",
        ),
        _ if iomem::address_against_kaslr(&facts.cmdline) => {
            finding(Level::Warn, what, says, iomem::KASLR_ADVICE)
        }
        _ => finding(Level::Ok, what, says, None),
    }
}

fn loaded(facts: &Facts) -> Finding {
    let what = "loaded";
    if !facts.loaded {
        let todo = "kdumpkit load (systemctl status kdumpkit.service says why it was not)";
        return finding(Level::Missing, what, "no capture kernel is loaded", todo);
    }
    let Some(record) = &facts.record else {
        let todo = "kdumpkit load replaces it";
        return finding(
            Level::Warn,
            what,
            "a capture kernel that kdumpkit did not load",
            todo,
        );
    };
    let release = record.release.as_deref().unwrap_or("unknown");
    let how = if record.early { ", early" } else { "" };
    let says = format!("{} (release {release}){how}", record.kernel.path.display());
    if release != facts.release {
        let says = format!("{says}, but {} is running", facts.release);
        let todo = "remove [load] kernel from the configuration, then kdumpkit load";
        return finding(Level::Warn, what, says, todo);
    }
    let changed: Vec<String> = [&record.kernel, &record.initramfs]
        .into_iter()
        // The early copy was a file of the system initramfs, which is gone.
        .filter(|source| !record.early && !source.is_current())
        .map(|source| source.path.display().to_string())
        .collect();
    if changed.is_empty() {
        return finding(Level::Ok, what, says, None);
    }
    let says = format!("{says}; changed since: {}", changed.join(", "));
    finding(Level::Warn, what, says, "kdumpkit load")
}

fn image(facts: &Facts) -> Finding {
    let what = "kernel image";
    match &facts.image {
        Ok(path) => finding(Level::Ok, what, path.clone(), None),
        Err(words) => {
            let level = if facts.loaded {
                Level::Warn
            } else {
                Level::Missing
            };
            let todo = "name an image that can be loaded in [load] kernel";
            finding(level, what, words.clone(), todo)
        }
    }
}

fn initramfs(facts: &Facts) -> Vec<Finding> {
    let what = "initramfs";
    let Some(state) = &facts.initramfs else {
        let todo = "kdumpkit load builds it";
        return vec![finding(Level::Warn, what, "there is none", todo)];
    };
    let says = format!("{}, {} bytes", state.path.display(), state.bytes);
    let first = if state.older_than.is_empty() {
        finding(Level::Ok, what, says, None)
    } else {
        let says = format!("{says}, older than {}", state.older_than.join(", "));
        finding(Level::Warn, what, says, "kdumpkit load builds it anew")
    };
    let mkdfinfo = match state.mkdfinfo {
        Mkdfinfo::Fits => None,
        Mkdfinfo::Missing => Some((
            "there is none in it: the filter has the dump's own note alone",
            "modprobe mkdfinfo, then kdumpkit initramfs and kdumpkit load",
        )),
        Mkdfinfo::Differs => Some((
            "the one in it is not the running kernel's",
            "kdumpkit load builds it anew",
        )),
        Mkdfinfo::Unknown => Some((
            "the initramfs cannot be read",
            "kdumpkit initramfs, then kdumpkit load",
        )),
    };
    let mkdfinfo = mkdfinfo.map(|(says, todo)| finding(Level::Warn, "mkdfinfo", says, todo));
    [first].into_iter().chain(mkdfinfo).collect()
}

fn watchdogs(facts: &Facts) -> Option<Finding> {
    let packed = facts.initramfs.as_ref()?.modules.as_ref()?;
    let missing = missing(&facts.watchdogs, packed);
    if missing.is_empty() {
        return None;
    }
    let says = format!(
        "{} not in the initramfs: a watchdog that runs resets the machine in mid-dump",
        missing.join(", ")
    );
    let todo =
        "kdumpkit load builds it anew with [initramfs] modules = \"auto\"; a list has to name it";
    Some(finding(Level::Warn, "watchdog", says, todo))
}

fn targets(facts: &Facts) -> Vec<Finding> {
    let all = facts.targets.iter();
    all.map(|state| match &state.found {
        Ok(words) => finding(
            Level::Ok,
            "target",
            format!("{}: {words}", state.target),
            None,
        ),
        Err(words) => {
            let todo = "mend it, or be sure that a target after it can be reached";
            let says = format!("{}: {words}", state.target);
            finding(Level::Warn, "target", says, todo)
        }
    })
    .collect()
}

/// sysctls that decide whether trouble becomes a crash that can be captured: name, wanted value, what else happens.
const PANIC_SYSCTLS: [(&str, &str, &str); 5] = [
    (
        "kernel.panic_on_oops",
        "an oops in a process only kills the process, and is not captured",
        "sysctl kernel.panic_on_oops=1",
    ),
    (
        "kernel.unknown_nmi_panic",
        "an NMI by hand (a management controller's \"diagnostic interrupt\") does not crash the machine",
        "sysctl kernel.unknown_nmi_panic=1",
    ),
    (
        "kernel.hardlockup_panic",
        "a CPU that hangs with interrupts off is only reported",
        "sysctl kernel.hardlockup_panic=1",
    ),
    (
        "kernel.softlockup_panic",
        "a CPU that hangs in the kernel is only reported",
        "sysctl kernel.softlockup_panic=1",
    ),
    (
        "kernel.hung_task_panic",
        "tasks that hang in uninterruptible sleep are only reported",
        "sysctl kernel.hung_task_panic=1",
    ),
];

fn panics(facts: &Facts) -> Vec<Finding> {
    let off = |name: &str| facts.sysctls.get(name).is_some_and(|value| value == "0");
    let mut findings: Vec<Finding> = PANIC_SYSCTLS
        .into_iter()
        .filter(|(name, ..)| off(name))
        .map(|(name, says, todo)| {
            // Only the first loses ordinary crashes.
            let level = if name == "kernel.panic_on_oops" {
                Level::Warn
            } else {
                Level::Note
            };
            finding(level, name, says, todo)
        })
        .collect();
    if facts.post_notifiers {
        findings.push(finding(
            Level::Note,
            "crash_kexec_post_notifiers",
            "panic notifiers run before the capture kernel and may hang",
            "drop it from the command line unless a hypervisor needs it",
        ));
    }
    if findings.is_empty() {
        let says = "an oops, a lockup and an NMI by hand all crash the machine";
        findings.push(finding(Level::Ok, "panic sysctls", says, None));
    }
    findings
}

fn early(facts: &Facts) -> Vec<Finding> {
    facts
        .early
        .iter()
        .map(|words| finding(Level::Note, "early", words.clone(), None))
        .collect()
}
