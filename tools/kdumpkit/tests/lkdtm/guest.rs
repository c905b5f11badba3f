// SPDX-License-Identifier: GPL-2.0-or-later
//! A guest with lkdtm.ko that runs a script.

use kdumpkit::init::{GuestRole, Role};
use kdumpkit::vm::{Accel, Lab};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What to boot.
#[derive(Debug, Default)]
pub struct Guest<'a> {
    /// Names the run's folder.
    pub name: &'a str,
    /// Shell text in front of `script`.
    pub variables: &'a str,
    pub script: &'a str,
    /// Files for the root of the initramfs.
    pub files: Vec<(String, PathBuf)>,
    /// Modules of the stock kernel to have at hand.
    pub modules: &'a [&'a str],
    /// Words for the kernel's command line.
    pub cmdline: &'a str,
    /// More arguments for QEMU.
    pub devices: &'a [&'a str],
    /// 0: as many as a machine has by default.
    pub cpus: u32,
    /// TCG even where KVM works: `-icount` wants it.
    pub translated: bool,
    pub deadline_s: u64,
}

/// Boots the guest, runs the script, returns what it said; the run's folder stays if anything is not as it should.
pub fn run(guest: Guest<'_>) -> String {
    let mut lab = Lab::from_env(Path::new(env!("CARGO_BIN_EXE_kdumpkit")))
        .expect("the source tree and a kernel");
    if guest.translated {
        lab.accel = Accel::Tcg;
    }
    let name = format!(
        "lkdtm-{}-{}-{}",
        guest.name,
        lab.kernel.release,
        std::process::id()
    );
    let folder = lab.folder(&name).expect("the run's folder");
    let initramfs = folder.join("guest.initramfs");
    let role = Role::Guest(GuestRole {
        script: Some(format!("{}\n{}", guest.variables, guest.script)),
        ..GuestRole::default()
    });
    let modules = [&["lkdtm"], guest.modules].concat();
    let written = lab.write_initramfs(&initramfs, &role, &modules, guest.files);
    written.expect("the initramfs");
    let mut machine = lab.machine(initramfs, &folder);
    machine.deadline = Duration::from_secs(guest.deadline_s);
    if guest.cpus != 0 {
        machine.cpus = guest.cpus;
    }
    machine.cmdline = guest.cmdline.to_owned();
    machine.silence = machine.deadline;
    machine.devices = guest.devices.iter().map(|d| (*d).to_owned()).collect();
    let heard = machine.listen().expect("QEMU");
    let output = heard.script();
    let output = output.unwrap_or_else(|error| panic!("{error:#}, see {}", folder.display()));
    fs::remove_dir_all(&folder).expect("removing the run's folder");
    println!("{output}");
    output.to_owned()
}
