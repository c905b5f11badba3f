// SPDX-License-Identifier: GPL-2.0-or-later
//! One crash cycle: build both initramfses, run the guest, fetch the dump from its disk.

use super::journal::Cell;
use super::progress::Line;
use super::report::{Heard, Outcome, Report};
use super::runner::Execute;
use super::scenario::{Lkdtm, Sabotage, Scenario};
use super::verdict;
use crate::event::{Event, Stage};
use crate::init::{CaptureRole, Collector, GuestRole, RESET_MODULE, Role};
use crate::initramfs::closure;
use crate::vm::{self, CONSOLE, End, Lab, Story};
use anyhow::Result;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const DUMP_DISK: &str = "dump.img";
const LOAD_DISK: &str = "load.img";
const DUMP_DISK_BYTES: u64 = 2 << 30;
const LOAD_DISK_BYTES: u64 = 64 << 20;
/// Where the capture kernel puts the dump on its disk.
const DUMP_FOLDER: &str = "var/crash";
/// The capture kernel's: less memory for what a dump does not need.
const CAPTURE_CMDLINE: &str = "cgroup_disable=memory transparent_hugepage=never numa=off";

/// What a cycle left behind.
#[derive(Debug)]
pub struct Recording {
    /// Everything that was heard, in order.
    pub events: Vec<Heard>,
    /// How the guest ended.
    pub end: End,
    /// The complete dump, fetched from the guest's disk.
    pub dump: Option<PathBuf>,
}

impl Execute for Lab {
    fn execute(&self, cell: &Cell, folder: &Path, line: &Line) -> Report {
        let recording = self.cycle(&cell.scenario, folder, &mut |event| line.event(event));
        let mut report = verdict::judge(&cell.scenario, &cell.id, &self.kernel.release, recording);
        if report.checks.is_empty() && report.outcome != Outcome::Pass {
            add_story(&mut report, folder);
        }
        report
    }

    fn tidy(&self, cell: &Cell, folder: &Path) {
        let scenario = &cell.scenario;
        let made = [DUMP_DISK, "capture.initramfs", "guest.initramfs", vm::QMP];
        for name in scratch_disks(scenario).chain(made) {
            let _ = fs::remove_file(folder.join(name));
        }
    }
}

/// Without a dump, the console is all there is to go by.
fn add_story(report: &mut Report, folder: &Path) {
    let Ok(console) = fs::read(folder.join(CONSOLE)) else {
        return;
    };
    let reason = report.reason.take().unwrap_or_default();
    report.reason = Some(format!("{reason}; {}", Story::read(&console)));
}

/// The dump in `crash`, the folder of a disk that has seen one crash: each crash makes a folder of its own in it.
#[must_use]
pub fn dump_below(crash: &Path) -> Option<PathBuf> {
    let crashes = fs::read_dir(crash).into_iter().flatten();
    let mut dumps = crashes.flatten().map(|entry| entry.path().join("vmcore"));
    dumps.find(|dump| dump.exists())
}

impl Lab {
    /// Runs `scenario` in `folder`, which must exist.
    ///
    /// # Errors
    /// Something outside the guest failed: building an initramfs, starting QEMU, reading the guest's disk.
    pub fn cycle(
        &self,
        scenario: &Scenario,
        folder: &Path,
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<Recording> {
        let capture = folder.join("capture.initramfs");
        let guest = folder.join("guest.initramfs");
        self.write_capture_initramfs(scenario, &capture)?;
        self.write_guest_initramfs(scenario, &capture, &guest)?;
        self.make_disks(scenario, folder)?;

        let mut machine = self.machine(guest, folder);
        // oops=panic: a BUG or an exception in task context would otherwise only kill modprobe.
        machine.cmdline = format!(
            "crashkernel={} oops=panic rcupdate.rcu_cpu_stall_timeout=5",
            scenario.crashkernel
        );
        machine.disks = vec![DUMP_DISK.into(), LOAD_DISK.into()];
        machine.devices = scenario
            .devices
            .iter()
            .flat_map(|d| d.qemu.clone())
            .collect();
        machine.deadline = scenario.deadline();
        machine.silence = Duration::from_secs(scenario.silence_s);
        machine.nmi_after = scenario.trigger.nmi_after_s.map(Duration::from_secs);
        let start = Instant::now();
        let mut events = Vec::new();
        let end = machine.run(&mut |event| {
            on_event(event);
            events.push(Heard {
                at_ms: start.elapsed().as_millis() as u64,
                event: event.clone(),
            });
        })?;
        let dump = self.fetch_dump(folder, &events)?;
        if let (Some(Sabotage::TruncateDump), Some(dump)) = (scenario.sabotage, &dump) {
            let file = File::options().write(true).open(dump)?;
            file.set_len(file.metadata()?.len() / 2)?;
        }
        Ok(Recording { events, end, dump })
    }

    fn write_capture_initramfs(&self, scenario: &Scenario, path: &Path) -> Result<()> {
        let modules = vec!["virtio_blk".to_owned(), "ext4".to_owned()];
        let mut role = CaptureRole::one_disk("/dev/vda", "ext4", DUMP_FOLDER, modules.clone());
        role.collector = scenario.collector.clone();
        role.hang = scenario.sabotage == Some(Sabotage::HangCapture);
        let role = Role::Capture(Box::new(role));
        let root = self.tree.buildroot()?;
        let files = match scenario.collector {
            Collector::Makedumpfile { .. } => closure::closure(&root, "usr/bin/makedumpfile")?
                .into_iter()
                .collect(),
            _ => Vec::new(),
        };
        let packed = [modules, vec![RESET_MODULE.to_owned()]].concat();
        self.write_initramfs(path, &role, &packed, files)
    }

    fn write_guest_initramfs(
        &self,
        scenario: &Scenario,
        capture: &Path,
        path: &Path,
    ) -> Result<()> {
        let base = vec!["virtio_blk".to_owned(), "mkdfinfo".to_owned()];
        let (capture, files) = self.capture(capture, CAPTURE_CMDLINE, true);
        let role = Role::Guest(GuestRole {
            modules: [base.clone(), scenario.modules.clone()].concat(),
            capture: Some(capture),
            sysctls: scenario.sysctls.clone(),
            script: scenario.trigger.script.clone(),
            lkdtm: scenario.trigger.lkdtm.as_ref().map(Lkdtm::parameters),
            loads: scenario.loads.clone(),
            wait_s: 60,
        });
        let modules = [base, vec!["lkdtm".to_owned()], scenario.modules.clone()].concat();
        self.write_initramfs(path, &role, &modules, files)
    }

    fn make_disks(&self, scenario: &Scenario, folder: &Path) -> Result<()> {
        for disk in scratch_disks(scenario) {
            File::create(folder.join(disk))?.set_len(LOAD_DISK_BYTES)?;
        }
        File::create(folder.join(DUMP_DISK))?.set_len(DUMP_DISK_BYTES)?;
        let mkfs = ["-q", "-F", "-t", "ext4", DUMP_DISK];
        self.tree.run(folder, "mke2fs", &mkfs)?;
        Ok(())
    }

    /// Copies the dump, complete or not, from the guest's disk without mounting it.
    fn fetch_dump(&self, folder: &Path, events: &[Heard]) -> Result<Option<PathBuf>> {
        if !events.iter().any(|heard| {
            matches!(
                heard.event,
                Event::Boot {
                    stage: Stage::Capture,
                    ..
                }
            )
        }) {
            return Ok(None);
        }
        let copy = format!("rdump {DUMP_FOLDER} .");
        self.tree
            .run(folder, "debugfs", &[DUMP_DISK, "-R", &copy])?;
        Ok(dump_below(&folder.join("crash")))
    }
}

/// Disks whose contents do not matter.
fn scratch_disks(scenario: &Scenario) -> impl Iterator<Item = &str> {
    let devices = scenario.devices.iter().filter_map(|d| d.disk.as_deref());
    devices.chain([LOAD_DISK])
}
