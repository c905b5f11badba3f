// SPDX-License-Identifier: GPL-2.0-or-later
//! A guest with lkdtm.ko that runs a script.

use kdumpkit::init::{GuestRole, Role};
use kdumpkit::initramfs::Recipe;
use kdumpkit::tree::Tree;
use kdumpkit::vm::{Accel, Machine};
use std::fs;
use std::path::PathBuf;
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
    let tree = Tree::find().expect("the source tree");
    let kernel = tree
        .kernel(std::env::var("KVER").ok().as_deref())
        .expect("a prepared kernel");
    let folder = tree.path(&format!(
        "build/runs/lkdtm-{}-{}-{}",
        guest.name,
        kernel.release,
        std::process::id()
    ));
    fs::create_dir_all(&folder).expect("the run's folder");
    let kdumpkit = PathBuf::from(env!("CARGO_BIN_EXE_kdumpkit"));
    let accel = match guest.translated {
        true => Accel::Tcg,
        false => Accel::probe(&tree, &kernel, &kdumpkit, &folder).expect("probing KVM"),
    };
    let initramfs = folder.join("guest.initramfs");
    let role = Role::Guest(GuestRole {
        script: Some(format!("{}\n{}", guest.variables, guest.script)),
        ..GuestRole::default()
    });
    let recipe = Recipe {
        release: &kernel.release,
        kdumpkit: &kdumpkit,
        busybox: &tree
            .buildroot()
            .expect("the build root")
            .join("usr/bin/busybox"),
        modules: &kernel.modules().expect("modules"),
        module_names: ["lkdtm"]
            .iter()
            .chain(guest.modules)
            .map(|name| (*name).to_owned())
            .collect(),
        role: &role,
        files: guest.files,
    };
    recipe.write(&initramfs).expect("the initramfs");
    let mut machine = Machine::new(&tree, accel, kernel.image(), initramfs, folder.clone());
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
