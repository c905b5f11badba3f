// SPDX-License-Identifier: GPL-2.0-or-later
//! What this machine says about its readiness for a crash.

use super::targets::TargetState;
use crate::initramfs::of_watchdogs;
use crate::load::config::STATE_FOLDER;
use crate::load::image::Image;
use crate::load::initramfs::Initramfs;
use crate::load::iomem::CrashMemory;
use crate::load::kexec;
use crate::load::record::Record;
use crate::{early, estimate};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Read once, judged by [`super::judge::judge`].
#[derive(Debug, Clone, Serialize)]
pub struct Facts {
    /// `uname -r`
    pub release: String,
    /// May addresses be read?
    pub is_root: bool,
    /// Path of the configuration, or what is wrong with it.
    pub config: Result<String, String>,
    /// /proc/cmdline
    pub cmdline: String,
    /// crashkernel= memory
    pub memory: CrashMemory,
    /// Peak need of the last measured capture, in MiB.
    pub estimate_mib: Option<u64>,
    /// Is a capture kernel loaded?
    pub loaded: bool,
    /// What kdumpkit loaded last.
    pub record: Option<Record>,
    /// The image that a load would take, or why there is none.
    pub image: Result<String, String>,
    /// The initramfs that a load would take.
    pub initramfs: Option<Initramfs>,
    /// Modules of this machine's watchdogs.
    pub watchdogs: Vec<String>,
    /// Whether the targets can be reached now.
    pub targets: Vec<TargetState>,
    /// sysctls by dotted name; a kernel has not all of them.
    pub sysctls: BTreeMap<String, String>,
    /// crash_kexec_post_notifiers is on.
    pub post_notifiers: bool,
    /// What the early load left to say.
    pub early: Option<String>,
}

/// The image's path, or what speaks against it.
fn usable(
    image: anyhow::Result<Image>,
    memory: CrashMemory,
    initramfs: Option<&Initramfs>,
) -> Result<String, String> {
    let image = image.map_err(|error| format!("{error:#}"))?;
    let path = image.path.display().to_string();
    let Some(region) = memory.main else {
        return Ok(path);
    };
    let bytes = initramfs.map_or(0, |i| i.bytes);
    match image.check(region, bytes, "") {
        Ok(place) => Ok(format!(
            "{path}, can be loaded at {:#x} to {:#x}",
            place.lowest, place.highest
        )),
        Err(refusals) => {
            let words: Vec<String> = refusals.iter().map(ToString::to_string).collect();
            Err(format!("{path}: {}", words.join("; ")))
        }
    }
}

fn sysctls() -> BTreeMap<String, String> {
    SYSCTLS
        .iter()
        .filter_map(|name| {
            let value = fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok()?;
            Some(((*name).to_owned(), value.trim().to_owned()))
        })
        .collect()
}

fn text(path: &str) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim_end()
        .to_owned()
}

const SYSCTLS: [&str; 5] = [
    "kernel.panic_on_oops",
    "kernel.unknown_nmi_panic",
    "kernel.hardlockup_panic",
    "kernel.softlockup_panic",
    "kernel.hung_task_panic",
];

impl Facts {
    /// Reads everything but what belongs to the configuration.
    #[must_use]
    pub fn read(image: anyhow::Result<Image>, initramfs: Option<Initramfs>) -> Self {
        let memory = CrashMemory::parse(&text("/proc/iomem"));
        Self {
            release: rustix::system::uname()
                .release()
                .to_string_lossy()
                .into_owned(),
            is_root: rustix::process::geteuid().is_root(),
            config: Ok(String::new()),
            cmdline: text("/proc/cmdline"),
            memory,
            estimate_mib: estimate::kept(Path::new(STATE_FOLDER)).map(|m| m.need().measured_mib),
            loaded: kexec::is_loaded(),
            record: Record::read(),
            image: usable(image, memory, initramfs.as_ref()),
            initramfs,
            watchdogs: of_watchdogs(Path::new("/sys")),
            targets: Vec::new(),
            sysctls: sysctls(),
            post_notifiers: text("/sys/module/kernel/parameters/crash_kexec_post_notifiers") == "Y",
            early: fs::read_to_string(early::SAID).ok(),
        }
    }
}
