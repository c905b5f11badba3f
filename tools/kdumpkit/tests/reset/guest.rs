// SPDX-License-Identifier: GPL-2.0-or-later
//! Guests for these tests: boot a script, or crash and run a script in the capture kernel.

use anyhow::{Context, Result, ensure};
use kdumpkit::init::{GuestRole, Role};
use kdumpkit::vm::Lab;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Both kernels. iomem: the scripts look into registers and the crashed kernel's memory.
const CMDLINE: &str = "iomem=relaxed";

/// Shell functions for the scripts. Output lines begin with a word that says what they are.
const FUNCTIONS: &str = r#"
set -u
b() { busybox "$@"; }
P=/sys/bus/pci/devices
links_up() {
	for path in /sys/class/net/*; do
		name=${path##*/}
		[ "$name" = lo ] || b ifconfig "$name" up || return
	done
	b sleep 2
}
# reg WHEN ADDRESS NAME BAR OFFSET: prints one register, in configuration space when BAR is -
reg() {
	if [ "$4" = - ]; then
		value=0x$(b dd if=$P/$2/config bs=4 skip=$(($5 / 4)) count=1 2>/dev/null | b od -An -tx4 | b tr -d ' ')
	else
		start=$(b sed -n "$(($4 + 1))s/ .*//p" $P/$2/resource)
		value=$(b devmem $((start + $5)) 32)
	fi
	echo "register $1 $2 $3 $value"
}
results() {
	for name in state milliseconds; do echo "result $name $(b cat /sys/kernel/reset_devices/$name)"; done
	b sed 's/^/device /' /sys/kernel/reset_devices/devices
}
# slot_off PORT: Power Controller Control off (and the indicators on): what is behind it answers no more
slot_off() {
	cap=$((0x$(b dd if=$P/$1/config bs=1 skip=52 count=1 2>/dev/null | b od -An -tx1 | b tr -d ' ')))
	b printf '\300\005' | b dd of=$P/$1/config bs=1 seek=$((cap + 24)) conv=notrunc 2>/dev/null
}
# probe ADDRESS: waits for a driver
probe() {
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
		[ -e $P/$1/driver ] && break
		b sleep 1
	done
	driver=$(b readlink $P/$1/driver)
	echo "driver $1 ${driver##*/}"
}
"#;

/// What all guests of one test share.
pub struct Bench {
    pub lab: Lab,
    folder: PathBuf,
}

/// A guest to boot.
#[derive(Default)]
pub struct Guest<'a> {
    /// Modules in every initramfs.
    pub modules: Vec<&'a str>,
    /// Kernel command line, both kernels.
    pub cmdline: &'a str,
    pub qemu: Vec<String>,
    pub script: String,
    /// Crash at the end of `script` and run this in the capture kernel.
    pub capture: Option<String>,
}

impl Bench {
    /// `name` names the folder where console and command line of a failed run stay.
    pub fn new(name: &str) -> Result<Self> {
        let lab = Lab::from_env(Path::new(env!("CARGO_BIN_EXE_kdumpkit")))?;
        let folder = lab.folder(&format!("reset-{name}"))?;
        Ok(Self { lab, folder })
    }

    /// Where the guest runs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs a program of the build root in the folder.
    pub fn run_tool(&self, program: &str, arguments: &[&str]) -> Result<()> {
        self.lab
            .tree
            .run(&self.folder, program, arguments)
            .map(drop)
    }

    /// Boots `guest` to its end; what its last script said. Removes the folder when `judge` is content.
    pub fn run<T>(&self, guest: &Guest, judge: impl FnOnce(&Said) -> Result<T>) -> Result<T> {
        let result = self.boot(guest).and_then(|said| {
            fs::write(self.folder.join("script.log"), &said.text)?;
            judge(&said)
        });
        for initramfs in ["capture.initramfs", "guest.initramfs"] {
            let _ = fs::remove_file(self.folder.join(initramfs));
        }
        if result.is_ok() {
            fs::remove_dir_all(&self.folder)?;
        }
        result.with_context(|| format!("see {}", self.folder.display()))
    }

    fn boot(&self, guest: &Guest) -> Result<Said> {
        let initramfs = self.folder.join("guest.initramfs");
        let mut script = format!("{FUNCTIONS}\n{}", guest.script);
        let mut files = Vec::new();
        let mut role = GuestRole::default();
        if let Some(capture) = &guest.capture {
            script.push_str("\necho c >/proc/sysrq-trigger\n");
            files = self.add_capture(guest, capture, &mut role)?;
        }
        role.script = Some(script);
        self.write_initramfs(&initramfs, &Role::Guest(role), guest, files)?;
        let mut machine = self.lab.machine(initramfs, &self.folder);
        machine.cmdline = format!("{CMDLINE} sysrq_always_enabled {}", guest.cmdline);
        if guest.capture.is_some() {
            machine.cmdline.push_str(" crashkernel=256M");
        }
        machine.devices = guest.qemu.clone();
        machine.deadline = Duration::from_secs(180);
        let text = machine.listen()?.script()?.to_owned();
        Ok(Said { text })
    }

    fn add_capture(
        &self,
        guest: &Guest,
        script: &str,
        role: &mut GuestRole,
    ) -> Result<Vec<(String, PathBuf)>> {
        let path = self.folder.join("capture.initramfs");
        let capture = Role::Guest(GuestRole {
            script: Some(format!("{FUNCTIONS}\n{script}")),
            ..GuestRole::default()
        });
        self.write_initramfs(&path, &capture, guest, Vec::new())?;
        let cmdline = format!("{CMDLINE} {}", guest.cmdline);
        let (image, files) = self.lab.capture(&path, &cmdline, false);
        role.capture = Some(image);
        Ok(files)
    }

    fn write_initramfs(
        &self,
        path: &Path,
        role: &Role,
        guest: &Guest,
        files: Vec<(String, PathBuf)>,
    ) -> Result<()> {
        let modules = [&guest.modules[..], &["reset_devices"]].concat();
        self.lab.write_initramfs(path, role, &modules, files)
    }
}

/// What a script has printed.
#[derive(Debug)]
pub struct Said {
    pub text: String,
}

impl Said {
    /// The rest of every line that begins with these words.
    pub fn all<'a>(&'a self, words: &str) -> impl Iterator<Item = &'a str> {
        let words = words.to_owned();
        self.text
            .lines()
            .filter_map(move |line| line.strip_prefix(words.as_str())?.strip_prefix(' '))
    }

    /// The rest of the only line that begins with these words.
    pub fn one(&self, words: &str) -> Result<&str> {
        let mut all = self.all(words);
        let first = all
            .next()
            .with_context(|| format!("the script has not said {words:?}:\n{}", self.text))?;
        ensure!(
            all.next().is_none(),
            "the script has said {words:?} twice:\n{}",
            self.text
        );
        Ok(first)
    }
}
