// SPDX-License-Identifier: GPL-2.0-or-later
//! `kdumpkit report` on real dumps: a stock kernel crashes in an interrupt, and the report says so. Then the same dump with
//! wrong bytes, and cut short.
//!
//! `cargo test --release -p kdumpkit --test report_guest -- --ignored` (KVER= chooses the kernel).

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Damaged copies of the dump that are looked at.
const DAMAGED: u64 = 24;
/// The ELF file's headers and notes come first; without them it is no dump.
const HEADER_BYTES: usize = 64 << 10;

fn kdumpkit(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kdumpkit"));
    command.args(arguments).output().expect("kdumpkit")
}

/// One crash cycle; its folder.
fn cycle(point: &str, crash_type: &str) -> PathBuf {
    let tree = kdumpkit::tree::Tree::find().expect("the source tree");
    let folder = tree.path(&format!("build/runs/report-{}", std::process::id()));
    let keep = folder.to_str().expect("a path in UTF-8");
    let output = kdumpkit(&[
        "test", "--jobs", "1", "--point", point, "--type", crash_type, "--keep", keep,
    ]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    folder
}

#[test]
#[ignore = "crashes a guest: make check does it"]
fn report_when_an_interrupt_handler_took_an_exception() {
    let folder = cycle("INT_HW_IRQ_EN", "EXCEPTION");
    let crash = folder.join("INT_HW_IRQ_EN-EXCEPTION/crash");
    let dump = kdumpkit::test::cycle::dump_below(&crash).expect("a dump");
    let page = folder.join("page.html");
    let (dump_name, page_name) = (dump.to_str().expect("UTF-8"), page.to_str().expect("UTF-8"));
    let output = kdumpkit(&["report", "--json", "--html", page_name, dump_name]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    says_what_happened(&report);
    let text = kdumpkit(&["report", dump_name]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("in a hard interrupt"), "{text}");
    assert!(text.contains("interrupted here:"), "{text}");
    let page = fs::read_to_string(page).expect("the page");
    assert!(
        page.contains("handle_irq_event") && page.trim_end().ends_with("</html>"),
        "{page}"
    );

    is_read_when_it_has_lost_its_note(&folder, dump_name, &report);
    damaged_dumps_are_reported(&folder, dump_name);
    fs::remove_dir_all(&folder).expect("removing the run's folder");
}

fn says_what_happened(report: &Value) {
    assert_eq!(report["problems"], Value::Array(vec![]), "{report:#}");
    let crash = &report["crash"];
    let reason = crash["reason"].as_str().expect("a reason");
    assert!(reason.contains("NULL pointer dereference"), "{reason}");
    assert!(crash["uptime_s"].as_f64().expect("uptime") > 0.5, "{crash}");
    assert!(
        crash["time"].as_u64().expect("time") > 1_700_000_000,
        "{crash}"
    );
    let complaints = crash["complaints"].to_string();
    assert!(complaints.contains("Oops:"), "{complaints}");
    // Where the exception was taken, not the code that handles it.
    let place = crash["place"].as_str().expect("a place");
    assert!(
        place.contains("lkdtm") && place.ends_with("[lkdtm]"),
        "{place}"
    );

    let cpus = report["cpus"].as_array().expect("CPUs");
    assert_eq!(cpus.len(), 2, "{report:#}");
    let cpu = cpus
        .iter()
        .find(|cpu| cpu["number"] == crash["cpu"])
        .expect("the crashed CPU");
    assert_eq!(cpu["context"], "hardirq");
    assert!(
        !cpu["task"]["comm"].as_str().expect("a name").is_empty(),
        "{cpu:#}"
    );
    let frames = cpu["stack"]["frames"].as_array().expect("frames");
    let position = |name: &str| {
        let found = frames.iter().position(|frame| frame["symbol"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {frames:#?}"))
    };
    let interrupted: Vec<usize> = (0..frames.len())
        .filter(|&i| frames[i]["interrupted"] == true)
        .collect();
    // The dump has the registers of the exception itself: lkdtm took it; it was called by way of the interrupt handler; that
    // had interrupted something, at times a softirq on the way out of another interrupt.
    assert!(!interrupted.is_empty(), "{frames:#?}");
    assert_eq!(frames[0]["module"], "lkdtm", "{frames:#?}");
    assert!(position("handle_irq_event") < interrupted[0], "{frames:#?}");
    for cpu in cpus {
        let end = cpu["stack"]["end"]["how"].as_str().expect("an end");
        assert!(["start", "user"].contains(&end), "{cpu:#}");
    }

    let modules = report["modules"].as_array().expect("modules");
    let lkdtm = modules
        .iter()
        .find(|module| module["name"] == "lkdtm")
        .expect("lkdtm");
    assert_eq!(lkdtm["taints"], "OE");
    let taints = report["taints"].to_string();
    assert!(
        taints.contains("\"O\"") && taints.contains("\"E\""),
        "{taints}"
    );
    let memory = |name: &str| report["memory"][name].as_u64().expect("a number");
    // 1 GiB less the capture kernel's 256 MiB and what the kernel itself takes.
    assert!(
        (600 << 20..768 << 20).contains(&memory("total")),
        "{report:#}"
    );
    assert!(
        (300 << 20..memory("total")).contains(&memory("free")),
        "{report:#}"
    );
    assert!(
        report["cmdline"]
            .as_str()
            .expect("cmdline")
            .contains("crashkernel=256M")
    );
}

/// The boot form of the mkdfinfo file takes the note's place. (An ELF copy: there the note is easily hidden.)
fn is_read_when_it_has_lost_its_note(folder: &Path, dump: &str, report: &Value) {
    let (elf, info) = (folder.join("elf"), folder.join("info"));
    let (elf, info) = (elf.to_str().expect("UTF-8"), info.to_str().expect("UTF-8"));
    let filter = kdumpkit(&["filter", "-E", "-d", "31", dump, elf]);
    assert!(
        filter.status.success(),
        "{}",
        String::from_utf8_lossy(&filter.stderr)
    );
    let made = kdumpkit(&["mkdfinfo", "--dump", dump, "--boot", "-o", info]);
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let mut bytes = fs::read(elf).expect("the ELF copy");
    let note = bytes
        .windows(11)
        .position(|w| w == b"VMCOREINFO\0")
        .expect("the note");
    bytes[note] = b'X';
    fs::write(elf, &bytes).expect("writing");
    let with = kdumpkit(&["report", "--json", "-i", info, elf]);
    let with: Value = serde_json::from_slice(&with.stdout).expect("JSON");
    assert_eq!(with["cpus"], report["cpus"]);
    let without = kdumpkit(&["report", elf]);
    assert!(without.status.success());
    let said = String::from_utf8_lossy(&without.stdout).into_owned();
    assert!(said.contains("not in this dump: kernel log"), "{said}");
}

/// Wrong bytes everywhere but in the file's headers; then files that end too early. Each gives a report or an error, in time.
fn damaged_dumps_are_reported(folder: &Path, dump: &str) {
    let elf = fs::read(folder.join("elf")).expect("the ELF copy");
    let note = elf
        .windows(11)
        .position(|w| w == b"XMCOREINFO\0")
        .expect("the note");
    let damaged = folder.join("damaged");
    let name = damaged.to_str().expect("UTF-8");
    let mut reported = 0;
    for seed in 1..=DAMAGED {
        let mut copy = elf.clone();
        copy[note] = b'V';
        let mut random = seed * 0x9e37_79b9_7f4a_7c15;
        // A few wrong bytes leave most parts to be read, many hit all of them.
        for _ in 0..16 << (seed % 12) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let at = HEADER_BYTES + random as usize % (copy.len() - HEADER_BYTES);
            copy[at] ^= (random >> 40) as u8;
        }
        fs::write(&damaged, &copy).expect("writing");
        reported += u64::from(look(name));
    }
    assert_eq!(reported, DAMAGED, "all with whole headers give a report");
    let whole = fs::read(dump).expect("the dump");
    for part in [2, 3, 10, 100, 10_000] {
        fs::write(&damaged, &whole[..whole.len() / part]).expect("writing");
        look(name);
    }
}

/// Whether there is a report. Panics when the program did.
fn look(dump: &str) -> bool {
    let start = Instant::now();
    let output = kdumpkit(&["report", "--json", dump]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        matches!(output.status.code(), Some(0 | 1)),
        "{:?}: {words}",
        output.status
    );
    assert!(
        start.elapsed() < Duration::from_secs(60),
        "took {:?}",
        start.elapsed()
    );
    if output.status.success() {
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON");
    }
    output.status.success()
}
