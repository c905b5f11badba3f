// SPDX-License-Identifier: GPL-2.0-or-later
//! What a hit of an armed point costs that does not fire, beside a minimal C module (tests/lkdtm/peer). A million calls
//! in all of each.

use super::guest::{Guest, run};
use std::path::PathBuf;

const CALLS: u32 = 200_000;

fn files() -> Vec<(String, PathBuf)> {
    let peer = std::env::var_os("LKDTM_PEER").map(PathBuf::from);
    let peer = peer.expect("LKDTM_PEER is not set: run tests/lkdtm/bench");
    ["lkdtm_target.ko", "lkdtm_peer.ko"]
        .map(|name| (name.to_owned(), peer.join(name)))
        .to_vec()
}

/// With icount the guest's clock advances by one nanosecond for each instruction: the same number on every machine, so it
/// can be a test.
#[test]
#[ignore = "tests/lkdtm/bench builds the peer and runs it"]
fn a_hit_takes_no_more_instructions_than_in_c() {
    let output = run(Guest {
        name: "instructions",
        variables: &format!("CALLS={CALLS} ROUNDS=3"),
        script: include_str!("bench.sh"),
        files: files(),
        devices: &["-icount", "shift=0,sleep=off"],
        translated: true,
        cpus: 1,
        deadline_s: 300,
        ..Guest::default()
    });
    let ratio = report("instructions", &output);
    assert!(ratio <= 1.05, "{ratio}");
}

/// Reported, not asserted.
#[test]
#[ignore = "tests/lkdtm/bench builds the peer and runs it"]
fn price_of_a_hit() {
    let output = run(Guest {
        name: "price",
        variables: &format!("CALLS={CALLS} ROUNDS=51"),
        script: include_str!("bench.sh"),
        files: files(),
        cpus: 1,
        deadline_s: 300,
        ..Guest::default()
    });
    report("ns", &output);
}

/// Says the medians and the least (on a busy machine the median says more about its other load, and what disturbs only
/// ever adds); returns the ratio of the medians.
fn report(unit: &str, output: &str) -> f64 {
    let sorted = |name: &str| -> Vec<f64> {
        let mut values: Vec<u64> = output
            .lines()
            .filter_map(|l| l.strip_prefix(name)?.trim().parse().ok())
            .collect();
        values.sort_unstable();
        values
            .iter()
            .map(|v| *v as f64 / f64::from(CALLS))
            .collect()
    };
    let (bare, peer, ours) = (sorted("bare "), sorted("peer "), sorted("lkdtm "));
    let ratios = [("median", bare.len() / 2), ("least", 0)].map(|(what, at)| {
        let (peer, ours) = (peer[at] - bare[at], ours[at] - bare[at]);
        println!(
            "hit, {what} of {}: minimal C probe {peer:.1} {unit}, lkdtm {ours:.1} {unit}, ratio {:.3} (a bare call {:.1} {unit})",
            bare.len(),
            ours / peer,
            bare[at]
        );
        ours / peer
    });
    ratios[0]
}
