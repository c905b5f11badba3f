// SPDX-License-Identifier: GPL-2.0-or-later
//! lkdtm.ko on a stock kernel without crashing it: parameters, errors, debugfs, leaks, stress, and the price of a hit.
//!
//! `cargo test -p kdumpkit --test lkdtm_guest -- --ignored` runs all of it (KVER= chooses the kernel, STRESS_S= how long the
//! stress lasts, 20 s otherwise).

#[path = "lkdtm/guest.rs"]
mod guest;
#[path = "lkdtm/price.rs"]
mod price;

use guest::{Guest, run};

#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn interface_on_a_stock_kernel() {
    let output = run(Guest {
        name: "interface",
        script: include_str!("lkdtm/interface.sh"),
        deadline_s: 240,
        ..Guest::default()
    });
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
    run(Guest {
        name: "stress",
        variables: &format!("STRESS_S={seconds}"),
        script: include_str!("lkdtm/stress.sh"),
        deadline_s: seconds + 180,
        ..Guest::default()
    });
}
