// SPDX-License-Identifier: GPL-2.0-or-later
//! The guest of mkdfinfo_guest.rs: boots, runs a script, crashes if the script lets it, leaves its memory as an ELF file.

use kdumpkit::init::{CaptureRole, Collector, GuestRole, Role};
use kdumpkit::vm::Lab;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

const DISK: &str = "dump.img";
/// Enough for a kernel with three modules, and four times smaller to dump than the default.
const MEMORY_MIB: u32 = 640;

/// What one run left.
pub struct Guest {
    lab: Lab,
    /// Holds the dump, the console and QEMU's command line; kept when a check fails.
    pub folder: PathBuf,
    parts: HashMap<String, String>,
}

impl Guest {
    /// Runs the guest to its end; a script that crashes it must leave a dump.
    pub fn run(script: &str, crashes: bool) -> Guest {
        let kdumpkit = Path::new(env!("CARGO_BIN_EXE_kdumpkit"));
        let lab = Lab::from_env(kdumpkit).expect("the source tree and a kernel");
        let name = format!("mkdfinfo-{}-{}", lab.kernel.release, std::process::id());
        let folder = lab.folder(&name).expect("the run's folder");
        let mut guest = Guest {
            lab,
            folder,
            parts: HashMap::new(),
        };
        let init = guest.stripped("kdumpkit", kdumpkit, "--strip-all");
        let initramfs = guest.write_initramfses(&init, script, crashes);
        guest.make_disk();
        let mut machine = guest.lab.machine(initramfs, &guest.folder);
        machine.cmdline = "crashkernel=256M".into();
        machine.memory_mib = MEMORY_MIB;
        machine.disks = vec![DISK.into()];
        let heard = machine.listen().expect("QEMU");
        let place = guest.folder.display();
        let output = heard.script();
        let output = output.unwrap_or_else(|error| panic!("{error:#}, see {place}"));
        guest.parts = split(output);
        if !crashes {
            return guest;
        }
        let dump = heard.dump();
        assert!(dump.is_some(), "no dump, see {place}: {:?}", heard.events);
        guest.run_tool("debugfs", &[DISK, "-R", "rdump crash ."]);
        guest
    }

    /// What the script said under `@name`.
    pub fn part(&self, name: &str) -> &str {
        self.parts
            .get(name)
            .unwrap_or_else(|| panic!("the script has no part {name}"))
    }

    /// What was on the serial console.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.join("console.log")).expect("console.log"))
            .into_owned()
    }

    /// The guest's memory.
    pub fn vmcore(&self) -> PathBuf {
        kdumpkit::test::cycle::dump_below(&self.folder.join("crash")).expect("a dump")
    }

    /// Writes a file into the run's folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, text).expect(name);
        path
    }

    /// A copy of the dump in which no reader finds the VMCOREINFO note: its name is changed.
    pub fn vmcore_without_note(&self) -> PathBuf {
        let copy = self.folder.join("vmcore-noteless");
        let mut bytes = fs::read(self.vmcore()).expect("vmcore");
        let name = b"VMCOREINFO\0";
        let at = bytes
            .windows(name.len())
            .position(|window| window == name)
            .expect("the note");
        assert!(
            at < 1 << 20,
            "a note near the start of the file, not its copy in memory"
        );
        bytes[at] = b'X';
        fs::write(&copy, bytes).expect("copy");
        copy
    }

    /// Runs a program of the build root in the run's folder.
    pub fn run_tool(&self, program: &str, arguments: &[&str]) {
        let ran = self.lab.tree.run(&self.folder, program, arguments);
        ran.unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// A copy without what is not installed either: the capture kernel has little memory.
    fn stripped(&self, name: &str, from: &Path, how: &str) -> PathBuf {
        fs::copy(from, self.folder.join(name)).expect(name);
        self.run_tool("strip", &[how, name]);
        self.folder.join(name)
    }

    fn make_disk(&self) {
        let disk = fs::File::create(self.folder.join(DISK)).expect(DISK);
        disk.set_len(2 << 30).expect("the disk's size");
        self.run_tool("mke2fs", &["-q", "-F", "-t", "ext4", DISK]);
    }

    fn write_initramfses(&self, init: &Path, script: &str, crashes: bool) -> PathBuf {
        let write = |name: &str, role: &Role, modules: &[&str], files: Vec<(String, PathBuf)>| {
            let path = self.folder.join(name);
            let written = self
                .lab
                .write_initramfs_of(init, &path, role, modules, files);
            written.expect(name);
            path
        };
        let drivers = ["virtio_blk", "ext4"];
        let modules = drivers.map(String::from).to_vec();
        let mut capture = CaptureRole::one_disk("/dev/vda", "ext4", "crash", modules);
        capture.collector = Collector::Elf;
        let capture = Role::Capture(Box::new(capture));
        let capture = write("capture.initramfs", &capture, &drivers, Vec::new());
        let (image, mut files) = self.lab.capture(&capture, "", false);
        let role = Role::Guest(GuestRole {
            capture: Some(image),
            script: Some(script.into()),
            wait_s: if crashes { 60 } else { 0 },
            ..GuestRole::default()
        });
        let module = self.stripped(
            "mkdfinfo.ko",
            &self.lab.kernel.built().join("mkdfinfo.ko"),
            "--strip-debug",
        );
        let other_layout = self.patched(&module, "SIZE", "page", 64, 128);
        let conflict = self.patched(
            &module,
            "NUMBER",
            "KERNEL_IMAGE_SIZE",
            0x4000_0000,
            0x2000_0000,
        );
        let tests = [
            ("mkdfinfo.ko", module),
            ("other-layout.ko", other_layout),
            ("conflict.ko", conflict),
            ("mkdfinfo", self.lab.tree.path("scripts/mkdfinfo")),
        ];
        files.extend(tests.map(|(inside, outside)| (format!("test/{inside}"), outside)));
        write("guest.initramfs", &role, &[], files)
    }

    /// A copy of the module that was "built" with another value: in its table of what the headers say, an entry is word
    /// and name (pointer to be relocated, length) and the value.
    fn patched(&self, module: &Path, word: &str, name: &str, from: i64, to: i64) -> PathBuf {
        let mut bytes = fs::read(module).expect("mkdfinfo.ko (make modules)");
        let words = [0, word.len() as i64, 0, name.len() as i64, from];
        let entry: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let places: Vec<_> = bytes
            .windows(entry.len())
            .enumerate()
            .filter(|(_, w)| *w == entry)
            .map(|(i, _)| i)
            .collect();
        assert_eq!(places.len(), 1, "{word}({name})={from} in the module");
        bytes[places[0] + 32..places[0] + 40].copy_from_slice(&to.to_le_bytes());
        let path = self.folder.join(format!("{name}.ko"));
        fs::write(&path, bytes).expect("patched module");
        path
    }
}

/// The parts of a script's output.
fn split(output: &str) -> HashMap<String, String> {
    let mut parts = HashMap::new();
    let mut current = String::new();
    for line in output.split_inclusive('\n') {
        match line.strip_prefix('@') {
            Some(name) => current = name.trim().to_owned(),
            None => parts
                .entry(current.clone())
                .or_insert_with(String::new)
                .push_str(line),
        }
    }
    parts
}

/// A kdump-compressed dump without its headers and notes, which name the source: bitmaps, descriptors, data.
#[derive(PartialEq, Eq)]
pub struct Body {
    bytes: Vec<u8>,
    /// Length of each of the two bitmaps: which frames are RAM, which are in the dump.
    bitmap_bytes: usize,
}

impl Body {
    /// Reads a dump. struct disk_dump_header: block_size at 428, sub_hdr_size and bitmap_blocks (in blocks) at 432, 436.
    pub fn read(path: &Path) -> Body {
        let dump = fs::read(path).expect("dump");
        assert_eq!(&dump[..8], b"KDUMP   ");
        let word = |at: usize| {
            u32::from_le_bytes([dump[at], dump[at + 1], dump[at + 2], dump[at + 3]]) as usize
        };
        Body {
            bytes: dump[word(428) * (1 + word(432))..].to_vec(),
            bitmap_bytes: word(428) * word(436) / 2,
        }
    }

    fn dumped(&self) -> &[u8] {
        &self.bytes[self.bitmap_bytes..2 * self.bitmap_bytes]
    }

    /// How many pages it holds.
    pub fn page_count(&self) -> u32 {
        self.dumped().iter().map(|byte| byte.count_ones()).sum()
    }

    /// How many of its pages `other` does not hold.
    pub fn pages_missing_in(&self, other: &Body) -> u32 {
        self.dumped()
            .iter()
            .zip(other.dumped())
            .map(|(mine, theirs)| (mine & !theirs).count_ones())
            .sum()
    }
}

/// Runs the distribution's makedumpfile.
pub fn makedumpfile(guest: &Guest, level: &str, info: Option<&Path>, vmcore: &Path) -> Body {
    let out = guest.folder.join("out");
    let mut command = guest.lab.tree.in_buildroot("makedumpfile");
    command
        .current_dir(&guest.folder)
        .args(["-f", "-l", "-d", level]);
    if let Some(info) = info {
        command.arg("-i").arg(info);
    }
    let output = command
        .arg(vmcore)
        .arg(&out)
        .output()
        .expect("makedumpfile");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Body::read(&out)
}
