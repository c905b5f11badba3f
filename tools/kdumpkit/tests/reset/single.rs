// SPDX-License-Identifier: GPL-2.0-or-later
//! Behaviour that needs no crash: parameters, first kernel, time, a device that never answers.

use crate::guest::{Bench, Guest, Said};
use anyhow::{Context, Result, ensure};

/// `count` root ports with a link of `gt_s`, an NVMe controller behind each, at 0000:01:00.0 and so on.
fn ports(count: u32, gt_s: u32) -> Vec<String> {
    let one = |i: u32| {
        [
            "-device".to_owned(),
            format!(
                "pcie-root-port,id=rp{i},bus=pcie.0,addr={:x}.0,chassis={i},x-speed={gt_s}",
                i + 0xf
            ),
            "-device".to_owned(),
            format!("nvme,bus=rp{i},serial=s{i}"),
        ]
    };
    (1..=count).flat_map(one).collect()
}

fn number(said: &Said, words: &str) -> Result<u64> {
    let text = said.one(words)?;
    text.parse().with_context(|| format!("{words} {text:?}"))
}

/// Milliseconds and state of a function in a line of `results`.
fn state<'a>(said: &'a Said, address: &str) -> Result<(&'a str, u64)> {
    let fields: Vec<&str> = said
        .one(&format!("device {address}"))?
        .splitn(4, ' ')
        .collect();
    ensure!(fields.len() == 4, "{address}: {fields:?}");
    Ok((fields[1], fields[2].parse()?))
}

#[test]
#[ignore = "boots a guest: make check does it"]
fn load_when_kernel_captures_nothing_does_nothing_and_garbage_is_refused() -> Result<()> {
    let bench = Bench::new("first-kernel")?;
    let guest = Guest {
        cmdline: "reset_devices.methods=flr",
        qemu: ports(1, 5),
        script: "modprobe reset_devices || exit 1\nresults\nrmmod reset_devices || exit 1\n\
                 [ -e /sys/kernel/reset_devices ] && exit 1\n\
                 b dmesg | b sed -n 's/.*reset_devices: /idle /p'\n\
                 b dmesg -c >/dev/null\n\
                 modprobe reset_devices skip=0000:01:00.0,0000:0g:00.0 2>/dev/null && exit 1\n\
                 modprobe reset_devices methods=hot,cold 2>/dev/null && exit 1\n\
                 modprobe reset_devices ready_timeout_ms=0 2>/dev/null && exit 1\n\
                 b dmesg | b sed -n 's/.*reset_devices: /refused /p'\n\
                 [ -e /sys/kernel/reset_devices ] && exit 1\n\
                 modprobe reset_devices force=1 dry_run=1 || exit 1\n\
                 echo \"dry $(b cat /sys/kernel/reset_devices/state)\"\n\
                 echo \"planned $(b grep 0000:01 /sys/kernel/reset_devices/devices)\"\n"
            .into(),
        ..Guest::default()
    };
    bench.run(&guest, |said| {
        ensure!(said.one("result state")? == "idle");
        ensure!(
            said.all("device").next().is_none(),
            "an idle module lists devices"
        );
        let idle: Vec<_> = said.all("idle").collect();
        ensure!(
            idle.iter()
                .any(|l| l.starts_with("this is no capture kernel: nothing done")),
            "it does not say why it does nothing: {idle:?}"
        );
        let refused: Vec<_> = said.all("refused").collect();
        for words in [
            "skip=, position 19: expected",
            "methods=, position 4: expected one of hot, flr, pm, busmaster",
            "parameter ready_timeout_ms=0: give a number from 1 to 600000",
        ] {
            ensure!(
                refused.iter().any(|l| l.starts_with(words)),
                "{words:?} is missing in {refused:?}"
            );
        }
        ensure!(said.one("dry")? == "dry-run");
        // The command line's parameter went through modprobe.
        ensure!(said.one("planned")? == "0000:01:00.0 flr planned 0 methods= leaves hot out");
        Ok(())
    })
}

#[test]
#[ignore = "boots a guest: make check does it"]
fn reset_when_there_are_eight_ports_takes_hardly_longer_than_one() -> Result<()> {
    let bench = Bench::new("time")?;
    // Three of each, and the best of them: what is measured is the waiting, not the load of this machine. At QEMU's own
    // speed of a port, whose wait (1.1 s) is long beside the emulation of the configuration space (milliseconds a device).
    let guest = Guest {
        qemu: ports(8, 16),
        script: "for run in 1 2 3; do for only in only=0000:00:10.0 only=; do\n\
                 modprobe reset_devices force=1 $only || exit 1\n\
                 echo \"took $only $(b grep -c ' hot reset ' /sys/kernel/reset_devices/devices) \
                 $(b cat /sys/kernel/reset_devices/milliseconds)\"\n\
                 rmmod reset_devices || exit 1; done; done\n"
            .into(),
        ..Guest::default()
    };
    bench.run(&guest, |said| {
        let best = |words: &str, count: &str| -> Result<f64> {
            let times: Vec<u32> = said
                .all(words)
                .map(|rest| {
                    let (devices, ms) = rest.split_once(' ').context("two numbers")?;
                    ensure!(
                        devices == count,
                        "{devices} devices were reset, not {count}"
                    );
                    Ok(ms.parse()?)
                })
                .collect::<Result<_>>()?;
            let best = times.iter().min().context("no times")?;
            Ok(f64::from(*best))
        };
        let (one, eight) = (
            best("took only=0000:00:10.0", "1")?,
            best("took only=", "8")?,
        );
        println!("1 port {one} ms, 8 ports {eight} ms: {:.2}x", eight / one);
        ensure!(eight <= 1.2 * one, "8 ports took {eight} ms, one {one} ms");
        Ok(())
    })
}

#[test]
#[ignore = "boots a guest: make check does it"]
fn reset_when_a_device_never_answers_costs_its_own_deadline() -> Result<()> {
    let bench = Bench::new("dead")?;
    // Power Controller Control of the first slot off: the device is there for the kernel, but answers no more.
    let guest = Guest {
        qemu: ports(3, 5),
        script: "slot_off 0000:00:10.0 || exit 1\n\
                 reg gone 0000:01:00.0 ID - 0\n\
                 modprobe reset_devices force=1 ready_timeout_ms=3000 || exit 1\nresults\n"
            .into(),
        ..Guest::default()
    };
    bench.run(&guest, |said| {
        ensure!(
            said.one("register gone 0000:01:00.0 ID")? == "0xffffffff",
            "the device still answers"
        );
        let (dead, waited) = state(said, "0000:01:00.0")?;
        // Silent and without a link: a second is enough (PCIe 6.0 6.6.1).
        ensure!(
            dead == "silent" && (1000..1400).contains(&waited),
            "{dead} after {waited} ms"
        );
        for alive in ["0000:02:00.0", "0000:03:00.0"] {
            let (state, ms) = state(said, alive)?;
            ensure!(
                state == "reset" && ms < 400,
                "{alive}: {state} after {ms} ms"
            );
        }
        let total = number(said, "result milliseconds")?;
        println!("dead device given up after {waited} ms, {total} ms in all");
        ensure!(total < waited + 400, "{total} ms in all");
        Ok(())
    })
}
