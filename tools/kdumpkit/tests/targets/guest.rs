// SPDX-License-Identifier: GPL-2.0-or-later
//! One crash with a configuration: boot, sysrq-c, capture by the initramfs that `kdumpkit initramfs` would build.

use kdumpkit::config::Config;
use kdumpkit::event::{Event, Stage};
use kdumpkit::facts::Facts;
use kdumpkit::init::{GuestRole, Role};
use kdumpkit::initramfs::{self, Sources};
use kdumpkit::vm::{self, End, Lab};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// What the guests of one test share. The folder stays when the test fails.
pub struct Bench {
    pub lab: Lab,
    pub folder: PathBuf,
    pub disks: Vec<String>,
    pub devices: Vec<String>,
    /// Modules that the crashing kernel loads.
    pub running: Vec<String>,
    /// Said to QEMU's monitor once the first kernel is up.
    pub monitor: Vec<String>,
    /// A guest that stays as it is, on purpose, is switched off when this is on its console.
    pub off_at: Option<&'static str>,
}

/// How a crash went.
pub struct Run {
    pub events: Vec<Event>,
    pub end: End,
    pub console: String,
}

impl Bench {
    pub fn new(name: &str) -> Self {
        let lab = Lab::from_env(kdumpkit()).expect("the source tree and a kernel");
        let name = format!("targets-{name}");
        let folder = lab.folder(&name).expect("the run's folder");
        Self {
            lab,
            folder,
            disks: Vec::new(),
            devices: Vec::new(),
            running: vec!["mkdfinfo".into()],
            monitor: Vec::new(),
            off_at: None,
        }
    }

    /// Adds a disk, with a file system made by `mkfs` (empty: none). The next one is /dev/vda, /dev/vdb, …
    pub fn disk(&mut self, mib: u64, mkfs: &[&str]) {
        let name = format!("disk{}.img", self.disks.len());
        let file = File::create(self.folder.join(&name)).expect("a disk");
        file.set_len(mib << 20).expect("its size");
        if let [program, options @ ..] = mkfs {
            self.tool(program, &[options, &[&name]].concat());
        }
        self.disks.push(name);
    }

    /// Runs a program of the build root in the folder.
    pub fn tool(&self, program: &str, arguments: &[&str]) -> String {
        let said = self.lab.tree.run(&self.folder, program, arguments);
        said.unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// `text` with this run's busybox and modules: the configuration of a capture initramfs, which powers off at its end.
    pub fn config(&self, text: &str, modules: &[&str]) -> Config {
        self.config_with_end(&format!("final_action = \"poweroff\"\n{text}"), modules)
    }

    /// The same with a `final_action` of its own.
    pub fn config_with_end(&self, text: &str, modules: &[&str]) -> Config {
        let busybox = self.lab.busybox().expect("the build root");
        let text = format!("{text}\n[initramfs]\nmodules = {modules:?}\nbusybox = {busybox:?}\n");
        Config::parse(&text, Path::new("test.toml")).expect("the test's configuration")
    }

    pub fn sources(&self) -> Sources {
        Sources {
            release: self.lab.kernel.release.clone(),
            modules: self.lab.modules.clone(),
            kdumpkit: env!("CARGO_BIN_EXE_kdumpkit-init").into(),
            mkdfinfo: None,
            hostname: "guest".into(),
        }
    }

    /// Builds the capture initramfs, crashes a guest with it.
    pub fn crash(&self, config: &Config) -> Run {
        let built = initramfs::build(config, &self.sources()).expect("the capture initramfs");
        self.crash_with(&built.image, "echo c > /proc/sysrq-trigger", "192M")
    }

    /// Runs `script` in the first kernel once the capture kernel with this initramfs is loaded.
    pub fn crash_with(&self, image: &[u8], script: &str, crashkernel: &str) -> Run {
        let capture = self.folder.join("capture.initramfs");
        fs::write(&capture, image).expect("writing the initramfs");
        let (image, files) = self
            .lab
            .capture(&capture, "cgroup_disable=memory nokaslr", true);
        let role = Role::Guest(GuestRole {
            modules: self.running.clone(),
            capture: Some(image),
            script: Some(script.into()),
            wait_s: 5,
            ..GuestRole::default()
        });
        let cmdline = format!("crashkernel={crashkernel}");
        self.boot(&role, &self.running, files, &cmdline)
    }

    /// Mounts disk 0 in a guest and copies its only vmcore out; returns the list of files too.
    pub fn fetch(&mut self, fstype: &str) -> (Option<PathBuf>, String) {
        self.fetch_named(fstype, "vmcore")
    }

    /// The same for a file of another name.
    pub fn fetch_named(&mut self, fstype: &str, name: &str) -> (Option<PathBuf>, String) {
        self.disk(1024, &[]);
        let script = format!(
            "cd / && busybox mount -t {fstype} -o ro /dev/vda /mnt && cd /mnt && busybox find . -type f\n\
             dump=$(busybox find . -name {name})\n\
             [ -z \"$dump\" ] || {{ echo size $(busybox stat -c %s $dump); busybox dd if=$dump of=/dev/vd{} bs=1M; }}\n\
             cd / && busybox umount /mnt",
            (b'a' + self.disks.len() as u8 - 1) as char
        );
        let role = Role::Guest(GuestRole {
            modules: vec!["virtio_blk".into(), fstype.into()],
            script: Some(script),
            ..GuestRole::default()
        });
        let run = self.boot(&role, &["virtio_blk", fstype], Vec::new(), "");
        let said = run.events.iter().find_map(|event| match event {
            Event::Script { status: 0, output } => Some(output.clone()),
            _ => None,
        });
        let said = said.unwrap_or_else(|| panic!("{:?} see {}", run.events, self.folder.display()));
        let size = said
            .lines()
            .find_map(|l| l.strip_prefix("size ")?.parse().ok());
        let copy = self.folder.join(self.disks.last().expect("a disk"));
        let dump = size.map(|size: u64| {
            let file = File::options().write(true).open(&copy).expect("the copy");
            file.set_len(size).expect("its size");
            copy
        });
        (dump, said)
    }

    fn boot(
        &self,
        role: &Role,
        modules: &[impl AsRef<str>],
        files: Vec<(String, PathBuf)>,
        cmdline: &str,
    ) -> Run {
        let initramfs = self.folder.join("guest.initramfs");
        let written = self.lab.write_initramfs(&initramfs, role, modules, files);
        written.expect("the guest's initramfs");
        let mut machine = self.lab.machine(initramfs, &self.folder);
        machine.cmdline = cmdline.to_owned();
        machine.memory_mib = 768;
        machine.disks = self.disks.iter().map(PathBuf::from).collect();
        machine.devices = self.devices.clone();
        machine.deadline = Duration::from_secs(400);
        machine.silence = Duration::from_secs(240);
        let mut events = Vec::new();
        let over = AtomicBool::new(false);
        let end = thread::scope(|scope| {
            scope.spawn(|| self.switch_off(&over));
            let end = machine.run(&mut |event| {
                if let Event::Boot {
                    stage: Stage::First,
                    ..
                } = event
                {
                    for command in &self.monitor {
                        vm::human(&self.folder, command).expect("the monitor");
                    }
                }
                events.push(event.clone());
            });
            over.store(true, Ordering::Relaxed);
            end
        });
        Run {
            events,
            end: end.expect("QEMU"),
            console: self.console(),
        }
    }

    fn console(&self) -> String {
        let console = fs::read(self.folder.join(vm::CONSOLE)).unwrap_or_default();
        String::from_utf8_lossy(&console).into_owned()
    }

    /// Waits for [`Self::off_at`] or the guest's end.
    fn switch_off(&self, over: &AtomicBool) {
        let Some(words) = self.off_at else { return };
        while !over.load(Ordering::Relaxed) {
            if self.console().contains(words) {
                // It may have ended by itself, which the test will see.
                let _ = vm::human(&self.folder, "quit");
                return;
            }
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// The dump is whole and of this crash.
    pub fn judge(&self, dump: &Path) {
        let place = self.folder.display();
        let facts = Facts::read(dump).unwrap_or_else(|e| panic!("{e:#}, see {place}"));
        assert_eq!(facts.release, self.lab.kernel.release, "see {place}");
        assert!(
            !facts.incomplete,
            "the dump calls itself incomplete, see {place}"
        );
        assert!(facts.dmesg.contains("sysrq triggered crash"), "see {place}");
    }

    /// Removes the folder: the test has passed.
    pub fn done(self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Run {
    /// Paths of the dumps that /init announced.
    pub fn dumps(&self) -> Vec<&str> {
        let announced = self.events.iter().filter_map(|event| match event {
            Event::Dump { path, .. } => Some(path.as_str()),
            _ => None,
        });
        announced.collect()
    }

    /// Of the dumps that are there without some pages: path, and what the filter said.
    pub fn incomplete_dumps(&self) -> Vec<(&str, &serde_json::Value)> {
        let announced = self.events.iter().filter_map(|event| match event {
            Event::IncompleteDump { path, filter, .. } => Some((path.as_str(), filter.as_ref()?)),
            _ => None,
        });
        announced.collect()
    }

    /// Why tries failed.
    pub fn failures(&self) -> Vec<&str> {
        let failed = self.events.iter().filter_map(|event| match event {
            Event::TargetFailed { error, .. } => Some(error.as_str()),
            _ => None,
        });
        failed.collect()
    }

    /// The guest must have ended by itself.
    pub fn ended(self) -> Self {
        assert_eq!(self.end, End::Off, "{:?}\n{}", self.events, self.console);
        self
    }
}

/// The program under test.
pub fn kdumpkit() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_kdumpkit"))
}
