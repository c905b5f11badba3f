// SPDX-License-Identifier: GPL-2.0-or-later
//! lkdtm.ko on a stock kernel without crashing it: parameters, errors, debugfs, leaks, stress, and the price of a hit.
//!
//! `cargo test -p kdumpkit --test lkdtm_guest -- --ignored` runs all of it (KVER= chooses the kernel, STRESS_S= and
//! STRESS_HITS= how long the stress lasts at least, otherwise 20 s and 100,000 hits).

#[path = "lkdtm/guest.rs"]
mod guest;
#[path = "lkdtm/price.rs"]
mod price;
#[path = "lkdtm/selftest.rs"]
mod selftest;

use guest::{Guest, run};

/// A script that says "ok NAME" and "BAD …", at least `checks` times the former.
fn checks(name: &str, modules: &[&str], script: &str, checks: usize) {
    let output = run(Guest {
        name,
        variables: include_str!("lkdtm/lib.sh"),
        script,
        modules,
        deadline_s: 360,
        ..Guest::default()
    });
    assert!(!output.contains("BAD"), "{output}");
    assert!(
        output.matches("ok ").count() >= checks,
        "checks were left out:\n{output}"
    );
}

#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn interface_on_a_stock_kernel() {
    checks("interface", &[], include_str!("lkdtm/interface.sh"), 26);
}

#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn points_in_modules_that_come_and_go() {
    let modules = ["scsi_mod", "brd", "virtio_rng"];
    checks("modules", &modules, include_str!("lkdtm/modules.sh"), 23);
}

#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn stress_on_a_stock_kernel() {
    let number = |name: &str, otherwise: u64| {
        std::env::var(name).map_or(otherwise, |s| s.parse().expect("a number"))
    };
    let (seconds, hits) = (number("STRESS_S", 20), number("STRESS_HITS", 100_000));
    run(Guest {
        name: "stress",
        variables: &format!("STRESS_S={seconds} STRESS_HITS={hits}"),
        script: include_str!("lkdtm/stress.sh"),
        modules: &["scsi_mod", "brd"],
        deadline_s: seconds * 2 + 240,
        ..Guest::default()
    });
}
