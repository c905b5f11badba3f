// SPDX-License-Identifier: GPL-2.0-or-later
//! One crash cycle: build both initramfses, run the guest, fetch the dump from its disk.

use super::scenario::Scenario;
use crate::event::{Event, Stage};
use crate::init::{CaptureImage, CaptureRole, Collector, GuestRole, RESET_MODULE, Role};
use crate::initramfs::modules::ModuleTree;
use crate::initramfs::{Recipe, closure};
use crate::tree::{Kernel, Tree};
use crate::vm::{Accel, End, Machine};
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

const DUMP_DISK: &str = "dump.img";
const LOAD_DISK: &str = "load.img";
const DUMP_DISK_BYTES: u64 = 2 << 30;
const LOAD_DISK_BYTES: u64 = 64 << 20;
/// Where the capture kernel puts the dump on its disk.
const DUMP_FOLDER: &str = "var/crash";
/// One CPU is enough for a dump; irqpoll: the device that interrupted last may have no driver any more.
const CAPTURE_CMDLINE: &str = "console=ttyS0 quiet panic=1 nr_cpus=1 irqpoll reset_devices cgroup_disable=memory \
     transparent_hugepage=never numa=off";

/// What every cycle on this machine shares.
#[derive(Debug)]
pub struct Bench {
    /// The source tree.
    pub tree: Tree,
    /// The kernel that crashes and captures.
    pub kernel: Kernel,
    /// The static kdumpkit binary.
    pub kdumpkit: PathBuf,
    /// The kernel's modules, the distribution's and ours.
    pub modules: ModuleTree,
    /// KVM or TCG.
    pub accel: Accel,
}

/// What a cycle left behind.
#[derive(Debug)]
pub struct Recording {
    /// Everything that was heard, in order.
    pub events: Vec<Event>,
    /// How the guest ended.
    pub end: End,
    /// The complete dump, fetched from the guest's disk.
    pub dump: Option<PathBuf>,
}

impl Bench {
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
        self.make_disks(folder)?;

        let mut machine = Machine::new(
            &self.tree,
            self.accel,
            self.kernel.image(),
            guest,
            folder.to_owned(),
        );
        // oops=panic: a BUG or an exception in task context would otherwise only kill modprobe.
        machine.cmdline = format!(
            "crashkernel={} oops=panic rcupdate.rcu_cpu_stall_timeout=5",
            scenario.crashkernel
        );
        machine.disks = vec![DUMP_DISK.into(), LOAD_DISK.into()];
        machine.deadline = scenario.deadline;
        let mut events = Vec::new();
        let end = machine.run(&mut |event| {
            on_event(event);
            events.push(event.clone());
        })?;
        let dump = self.fetch_dump(folder, &events)?;
        Ok(Recording { events, end, dump })
    }

    fn write_capture_initramfs(&self, scenario: &Scenario, path: &Path) -> Result<()> {
        let modules = vec!["virtio_blk".to_owned(), "ext4".to_owned()];
        let role = Role::Capture(CaptureRole {
            modules: modules.clone(),
            device: "/dev/vda".into(),
            filesystem: "ext4".into(),
            folder: DUMP_FOLDER.into(),
            collector: scenario.collector.clone(),
            hang: scenario.hang_capture,
        });
        let root = self.tree.buildroot()?;
        let files = match scenario.collector {
            Collector::Makedumpfile { .. } => closure::closure(&root, "usr/bin/makedumpfile")?
                .into_iter()
                .collect(),
            _ => Vec::new(),
        };
        let packed = [modules, vec![RESET_MODULE.to_owned()]].concat();
        self.write_initramfs(&role, packed, files, path)
    }

    fn write_guest_initramfs(
        &self,
        scenario: &Scenario,
        capture: &Path,
        path: &Path,
    ) -> Result<()> {
        let role = Role::Guest(GuestRole {
            modules: vec!["virtio_blk".into(), "mkdfinfo".into()],
            capture: Some(CaptureImage {
                kernel: "/capture/vmlinuz".into(),
                initramfs: "/capture/initramfs".into(),
                cmdline: CAPTURE_CMDLINE.into(),
                mkdfinfo: true,
            }),
            sysctls: scenario.sysctls(),
            lkdtm: Some(scenario.lkdtm_parameters()),
            loads: scenario.loads(),
            wait_s: 60,
            ..GuestRole::default()
        });
        let modules = ["virtio_blk", "mkdfinfo", "lkdtm"]
            .map(String::from)
            .to_vec();
        let files = vec![
            ("capture/vmlinuz".to_owned(), self.kernel.image()),
            ("capture/initramfs".to_owned(), capture.to_owned()),
        ];
        self.write_initramfs(&role, modules, files, path)
    }

    fn write_initramfs(
        &self,
        role: &Role,
        module_names: Vec<String>,
        files: Vec<(String, PathBuf)>,
        path: &Path,
    ) -> Result<()> {
        let busybox = self.tree.buildroot()?.join("usr/bin/busybox");
        let recipe = Recipe {
            release: &self.kernel.release,
            kdumpkit: &self.kdumpkit,
            busybox: &busybox,
            modules: &self.modules,
            module_names,
            role,
            files,
        };
        recipe.write(path)
    }

    fn make_disks(&self, folder: &Path) -> Result<()> {
        File::create(folder.join(LOAD_DISK))?.set_len(LOAD_DISK_BYTES)?;
        File::create(folder.join(DUMP_DISK))?.set_len(DUMP_DISK_BYTES)?;
        let output = self
            .tree
            .in_buildroot("mke2fs")
            .current_dir(folder)
            .args(["-q", "-F", "-t", "ext4", DUMP_DISK])
            .output()?;
        ensure!(
            output.status.success(),
            "mke2fs of the dump disk: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }

    /// Copies the dump, complete or not, from the guest's disk without mounting it.
    fn fetch_dump(&self, folder: &Path, events: &[Event]) -> Result<Option<PathBuf>> {
        if !events.iter().any(|e| {
            matches!(
                e,
                Event::Boot {
                    stage: Stage::Capture,
                    ..
                }
            )
        }) {
            return Ok(None);
        }
        let mut command = self.tree.in_buildroot("debugfs");
        command
            .current_dir(folder)
            .arg(DUMP_DISK)
            .arg("-R")
            .arg(format!("rdump {DUMP_FOLDER} ."));
        let output = command
            .output()
            .context("reading the dump disk with debugfs")?;
        ensure!(
            output.status.success(),
            "debugfs: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let dump = folder.join("crash/vmcore");
        Ok(dump.exists().then_some(dump))
    }
}

/// Of a folder that is kept, removes what can be made again: disks and initramfses.
pub fn tidy(folder: &Path) {
    for name in [
        DUMP_DISK,
        LOAD_DISK,
        "capture.initramfs",
        "guest.initramfs",
        crate::vm::QMP,
    ] {
        let _ = fs::remove_file(folder.join(name));
    }
}
