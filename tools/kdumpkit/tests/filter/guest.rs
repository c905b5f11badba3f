// SPDX-License-Identifier: GPL-2.0-or-later
//! The guest of filter_guest.rs: memory of every kind, /proc/kpageflags, a crash, and all of its memory as an ELF file.

use kdumpkit::init::{CaptureRole, Collector, GuestRole, Role};
use kdumpkit::vm::Lab;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

const SCRIPT: &str = include_str!("guest.sh");
/// Modules of the first kernel, for their memory; those that a kernel does not have are left out.
const MODULES: [&str; 6] = ["ext4", "mkdfinfo", "btrfs", "dm-mod", "loop", "dummy"];

/// Disks, in the order of their names in the guest.
const DISK: &str = "dump.img";
const FILES: &str = "files.img";
const FLAGS: &str = "flags.img";

/// What one run left.
pub struct Guest {
    lab: Lab,
    /// Holds dumps, console and QEMU's command line; kept when a check fails.
    pub folder: PathBuf,
    /// One word a page frame.
    pub kpageflags: Vec<u64>,
}

impl Guest {
    /// Runs a guest with that much memory, a third of it in use.
    pub fn run(memory_mib: u32) -> Guest {
        let lab = Lab::from_env(kdumpkit()).expect("the source tree and a kernel");
        let kept = std::env::var_os("REUSE").map(PathBuf::from);
        let folder = kept.clone().unwrap_or_else(|| {
            let release = &lab.kernel.release;
            let name = format!("filter-{release}-{memory_mib}-{}", std::process::id());
            lab.folder(&name).expect("the run's folder")
        });
        let mut guest = Guest {
            lab,
            folder,
            kpageflags: Vec::new(),
        };
        match kept {
            Some(_) => guest.remove_dumps(),
            None => guest.boot(memory_mib),
        }
        guest.kpageflags = read_flags(&guest.folder.join(FLAGS));
        guest
    }

    /// The kernel's.
    pub fn release(&self) -> &str {
        &self.lab.kernel.release
    }

    fn boot(&self, memory_mib: u32) {
        self.make_disk(DISK, u64::from(memory_mib) << 21, true);
        self.make_disk(FILES, 1 << 30, true);
        self.make_disk(FLAGS, 64 << 20, false);
        let initramfs = self.write_initramfses(memory_mib);
        let mut machine = self.lab.machine(initramfs, &self.folder);
        machine.cmdline = "crashkernel=256M".into();
        machine.memory_mib = memory_mib;
        machine.disks = [DISK, FILES, FLAGS].map(PathBuf::from).to_vec();
        machine.deadline = Duration::from_secs(900);
        machine.silence = Duration::from_secs(400);
        let heard = machine.listen().expect("QEMU");
        let place = self.folder.display();
        let output = heard.script();
        let output = output.unwrap_or_else(|error| panic!("guest.sh: {error:#}, see {place}"));
        println!("{output}");
        let dump = heard.dump();
        assert!(dump.is_some(), "no dump, see {place}: {:?}", heard.events);
        let (_, rest) = output.split_once("@mkdfinfo\n").expect("@mkdfinfo");
        let (mkdfinfo, _) = rest.split_once("@load\n").expect("@load");
        fs::write(self.mkdfinfo(), mkdfinfo).expect("writing mkdfinfo");
        self.buildroot("debugfs", &[DISK, "-R", "rdump crash ."]);
        let dump = kdumpkit::test::cycle::dump_below(&self.folder.join("crash")).expect("a dump");
        fs::rename(dump, self.vmcore()).expect("moving the dump");
        for disk in [DISK, FILES] {
            fs::remove_file(self.folder.join(disk)).expect(disk);
        }
    }

    /// What the guest left stays, what a test made of it goes.
    fn remove_dumps(&self) {
        let guests = [
            "crash",
            "mkdfinfo",
            FLAGS,
            "console.log",
            "qemu.cmd",
            "qemu.stderr",
        ];
        for entry in fs::read_dir(&self.folder).expect("REUSE=FOLDER").flatten() {
            if !guests.iter().any(|name| entry.file_name() == *name) && entry.path().is_file() {
                fs::remove_file(entry.path()).expect("removing a dump");
            }
        }
    }

    /// The guest's memory.
    pub fn vmcore(&self) -> PathBuf {
        self.folder.join("crash/vmcore")
    }

    /// The file that mkdfinfo.ko gave.
    pub fn mkdfinfo(&self) -> PathBuf {
        self.folder.join("mkdfinfo")
    }

    /// Removes the run's folder, unless KEEP is set.
    pub fn end(self) {
        if std::env::var_os("KEEP").is_none() {
            fs::remove_dir_all(&self.folder).expect("removing the run's folder");
        }
    }

    /// Runs a program of the build root in the run's folder; it must succeed.
    pub fn buildroot(&self, program: &str, arguments: &[&str]) -> String {
        let said = self.lab.tree.run(&self.folder, program, arguments);
        said.unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Runs a shell line of the build root in the run's folder, with its makedumpfile as `makedumpfile`.
    pub fn buildroot_shell(&self, line: &str) -> String {
        self.buildroot("sh", &["-ec", line])
    }

    /// Runs a shell line in the run's folder, with kdumpkit as `kdumpkit` and as `makedumpfile`.
    pub fn shell(&self, line: &str) -> Output {
        let bin = self.folder.join("bin");
        fs::create_dir_all(&bin).expect("bin");
        for name in ["kdumpkit", "makedumpfile"] {
            let _ = std::os::unix::fs::symlink(kdumpkit(), bin.join(name));
        }
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("PATH"));
        let mut command = Command::new("sh");
        command
            .current_dir(&self.folder)
            .env("PATH", path)
            .args(["-c", line]);
        command.output().expect("sh")
    }

    /// As [`Guest::shell`]; the line must succeed.
    pub fn done(&self, line: &str) {
        let output = self.shell(line);
        assert!(
            output.status.success(),
            "{line}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Runs a script of tests/filter with drgn and libkdumpfile at hand; false when it says so.
    pub fn python(&self, script: &str, arguments: &[&str]) -> bool {
        let python = output_of(&mut Command::new(self.lab.tree.path("scripts/drgn")));
        let script = self.lab.tree.path("tests/filter").join(script);
        let mut command = self.lab.tree.in_buildroot(python.trim());
        command
            .current_dir(&self.folder)
            .arg(script)
            .args(arguments);
        let output = command.output().expect("python");
        println!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        output.status.success()
    }

    fn make_disk(&self, name: &str, bytes: u64, ext4: bool) {
        let disk = File::create(self.folder.join(name)).expect(name);
        disk.set_len(bytes).expect(name);
        if ext4 {
            self.buildroot("mke2fs", &["-q", "-F", "-t", "ext4", name]);
        }
    }

    fn write_initramfses(&self, memory_mib: u32) -> PathBuf {
        let write = |name: &str, role: &Role, names: &[&str], files: Vec<(String, PathBuf)>| {
            let path = self.folder.join(name);
            let written = self.lab.write_initramfs(&path, role, names, files);
            written.expect(name);
            path
        };
        let drivers = vec!["virtio_blk".to_owned(), "ext4".to_owned()];
        let mut capture = CaptureRole::one_disk("/dev/vda", "ext4", "crash", drivers);
        capture.collector = Collector::Elf;
        let capture = Role::Capture(Box::new(capture));
        let capture = write(
            "capture.initramfs",
            &capture,
            &["virtio_blk", "ext4"],
            Vec::new(),
        );
        let load_mib = (memory_mib - 256) / 2;
        let settings = format!("LOAD_MIB={load_mib}\nMODULES='{}'\n", MODULES.join(" "));
        let (image, mut files) = self.lab.capture(&capture, "", false);
        let role = Role::Guest(GuestRole {
            modules: vec!["virtio_blk".into()],
            capture: Some(image),
            script: Some(settings + SCRIPT),
            wait_s: 300,
            ..GuestRole::default()
        });
        let load = env!("CARGO_BIN_EXE_guest_load");
        files.push(("test/guest_load".into(), load.into()));
        let names = [&["virtio_blk"], &MODULES[..]].concat();
        write("guest.initramfs", &role, &names, files)
    }
}

pub fn kdumpkit() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_kdumpkit"))
}

fn output_of(command: &mut Command) -> String {
    let output = command.output().expect("starting a program");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Behind one page with the length.
fn read_flags(disk: &Path) -> Vec<u64> {
    let disk = File::open(disk).expect(FLAGS);
    let mut bytes = [0; 8];
    disk.read_exact_at(&mut bytes, 0)
        .expect("length of kpageflags");
    let mut flags = vec![0; u64::from_le_bytes(bytes) as usize];
    disk.read_exact_at(&mut flags, 4096).expect("kpageflags");
    let words = flags
        .chunks_exact(8)
        .map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes")));
    words.collect()
}
