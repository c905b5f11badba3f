// SPDX-License-Identifier: GPL-2.0-or-later
//! KVM or TCG. /dev/kvm may exist and still be useless, so KVM has to boot a guest before it is believed.

use super::{End, Machine};
use crate::event::Event;
use crate::init::{GuestRole, Role};
use crate::initramfs::Recipe;
use crate::initramfs::modules::ModuleTree;
use crate::tree::{Kernel, Tree};
use anyhow::Result;
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::time::Duration;

/// What executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    /// The CPU itself.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

impl Accel {
    pub(super) fn arguments(self, takes_turns: bool) -> [&'static str; 4] {
        match self {
            Accel::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Accel::Tcg if takes_turns => ["-accel", "tcg,thread=single", "-cpu", "max"],
            Accel::Tcg => ["-accel", "tcg", "-cpu", "max"],
        }
    }

    /// Probes once per boot of this machine; the answer is kept in `folder`.
    pub fn probe(tree: &Tree, kernel: &Kernel, kdumpkit: &Path, folder: &Path) -> Result<Self> {
        if OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/kvm")
            .is_err()
        {
            return Ok(Accel::Tcg);
        }
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let answer = folder.join(format!("kvm-{}", boot.trim()));
        if let Ok(text) = fs::read_to_string(&answer) {
            return Ok(if text == "kvm" {
                Accel::Kvm
            } else {
                Accel::Tcg
            });
        }
        let accel = if boots_with_kvm(tree, kernel, kdumpkit, folder)? {
            Accel::Kvm
        } else {
            Accel::Tcg
        };
        fs::write(&answer, if accel == Accel::Kvm { "kvm" } else { "tcg" })?;
        Ok(accel)
    }
}

fn boots_with_kvm(tree: &Tree, kernel: &Kernel, kdumpkit: &Path, folder: &Path) -> Result<bool> {
    let folder = folder.join("kvm-probe");
    fs::create_dir_all(&folder)?;
    let initramfs = folder.join("initramfs");
    let role = Role::Guest(GuestRole::default());
    Recipe {
        release: &kernel.release,
        kdumpkit,
        busybox: &tree.buildroot()?.join("usr/bin/busybox"),
        modules: &ModuleTree::default(),
        module_names: Vec::new(),
        role: &role,
        files: Vec::new(),
    }
    .write(&initramfs)?;
    let mut machine = Machine::new(tree, Accel::Kvm, kernel.image(), initramfs, folder.clone());
    machine.deadline = Duration::from_secs(15);
    let mut said_bye = false;
    let end = machine.run(&mut |event| said_bye |= matches!(event, Event::Bye { .. }))?;
    fs::remove_dir_all(&folder)?;
    Ok(said_bye && matches!(end, End::Off))
}
