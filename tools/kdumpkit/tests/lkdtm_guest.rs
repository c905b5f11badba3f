// SPDX-License-Identifier: GPL-2.0-or-later
//! lkdtm.ko on a stock kernel without crashing it: parameters, errors, debugfs, leaks, stress, and the price of a hit.
//!
//! `cargo test -p kdumpkit --test lkdtm_guest -- --ignored` runs all of it (KVER= chooses the kernel, STRESS_S= how long the
//! stress lasts, 20 s otherwise).

use kdumpkit::event::Event;
use kdumpkit::init::{GuestRole, Role};
use kdumpkit::initramfs::Recipe;
use kdumpkit::tree::Tree;
use kdumpkit::vm::{Accel, End, Machine};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Boots a guest with lkdtm, runs `script`, returns what it said; the run's folder stays if anything is not as it should.
fn run(name: &str, script: &str, files: Vec<(String, PathBuf)>, deadline_s: u64) -> String {
    let tree = Tree::find().expect("the source tree");
    let kernel = tree
        .kernel(std::env::var("KVER").ok().as_deref())
        .expect("a prepared kernel");
    let folder = tree.path(&format!(
        "build/runs/lkdtm-{name}-{}-{}",
        kernel.release,
        std::process::id()
    ));
    fs::create_dir_all(&folder).expect("the run's folder");
    let kdumpkit = PathBuf::from(env!("CARGO_BIN_EXE_kdumpkit"));
    let accel = Accel::probe(&tree, &kernel, &kdumpkit, &folder).expect("probing KVM");
    let initramfs = folder.join("guest.initramfs");
    let role = Role::Guest(GuestRole {
        script: Some(script.to_owned()),
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
        module_names: vec!["lkdtm".to_owned()],
        role: &role,
        files,
    };
    recipe.write(&initramfs).expect("the initramfs");
    let mut machine = Machine::new(&tree, accel, kernel.image(), initramfs, folder.clone());
    machine.deadline = Duration::from_secs(deadline_s);
    let mut events = Vec::new();
    let end = machine
        .run(&mut |event| events.push(event.clone()))
        .expect("QEMU");
    let said = events.iter().find_map(|event| match event {
        Event::Script { status, output } => Some((*status, output.clone())),
        _ => None,
    });
    let place = folder.display();
    let (status, output) = said.unwrap_or_else(|| panic!("{end:?}, no output, see {place}"));
    assert_eq!(status, 0, "see {place}:\n{output}");
    assert_eq!(end, End::Off, "see {place}:\n{output}");
    fs::remove_dir_all(&folder).expect("removing the run's folder");
    println!("{output}");
    output
}

#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn interface_on_a_stock_kernel() {
    let output = run(
        "interface",
        include_str!("lkdtm/interface.sh"),
        Vec::new(),
        240,
    );
    assert!(!output.contains("BAD"), "{output}");
    assert!(
        output.matches("ok ").count() >= 28,
        "checks were left out:\n{output}"
    );
}

#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn stress_on_a_stock_kernel() {
    let seconds: u64 =
        std::env::var("STRESS_S").map_or(20, |s| s.parse().expect("STRESS_S=seconds"));
    let script = format!("STRESS_S={seconds}\n{}", include_str!("lkdtm/stress.sh"));
    run("stress", &script, Vec::new(), seconds + 180);
}
