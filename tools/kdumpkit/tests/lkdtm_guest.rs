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

/// Reported, not asserted: tests/lkdtm/bench runs it.
#[test]
#[ignore = "a benchmark: tests/lkdtm/bench builds the peer and runs it"]
fn price_of_a_hit() {
    let Some(peer) = std::env::var_os("LKDTM_PEER") else {
        println!("LKDTM_PEER is not set: run tests/lkdtm/bench");
        return;
    };
    let files = vec![("lkdtm_peer.ko".to_owned(), PathBuf::from(peer))];
    let output = run("bench", include_str!("lkdtm/bench.sh"), files, 600);
    // Hundredths of a second for a million reads: 10 ns each. Sorted.
    let times = |name: &str| -> Vec<f64> {
        let mut values: Vec<u32> = output
            .lines()
            .filter_map(|l| l.strip_prefix(name)?.trim().parse().ok())
            .collect();
        values.sort_unstable();
        values.iter().map(|v| f64::from(*v) * 10.0).collect()
    };
    let (bare, peer, ours) = (times("bare "), times("peer "), times("lkdtm "));
    // On a busy machine the medians say more about its other load; what disturbs only ever adds, so the least is nearer.
    for (what, at) in [("median", bare.len() / 2), ("least", 0)] {
        let (peer, ours) = (peer[at] - bare[at], ours[at] - bare[at]);
        println!(
            "hit, {what} of {}: minimal C probe {peer:.0} ns, lkdtm {ours:.0} ns, ratio {:.2} (a bare read takes {:.0} ns)",
            bare.len(),
            ours / peer,
            bare[at]
        );
    }
}
