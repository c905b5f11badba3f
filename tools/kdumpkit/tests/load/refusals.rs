// SPDX-License-Identifier: GPL-2.0-or-later
//! What load says when it cannot, and that a refused image leaves the loaded one alone.

use crate::guest::{Bench, Guest, line};
use anyhow::{Result, ensure};
use std::fs;

/// `try NAME COMMAND...` prints exit status and first lines of what was said.
const TRY: &str = r#"
try() { name=$1; shift; out=$("$@" 2>&1); echo "$name: status $? loaded $(b cat /sys/kernel/kexec_crash_loaded): $(echo $out)"; }
load() { kdumpkit load --initramfs /capture.initramfs "$@"; }
"#;

#[test]
#[ignore = "needs QEMU and the build root"]
fn load_when_refused_keeps_the_old_image_and_says_why() -> Result<()> {
    let bench = Bench::new("refusals")?;
    let image = fs::read(bench.lab.kernel.image())?;
    let patched = |name: &str, at: usize, bytes: &[u8]| -> Result<_> {
        let mut copy = image.clone();
        copy[at..at + bytes.len()].copy_from_slice(bytes);
        let path = bench.folder.join(name);
        fs::write(&path, copy)?;
        Ok((format!("images/{name}"), path))
    };
    let files = vec![
        patched("fixed", 0x234, &[0])?,
        patched("below-4g", 0x236, &[0x7d, 0])?,
        patched("huge", 0x260, &[0, 0, 0, 0x20])?,
        patched("elf", 0x202, b"\x7fELF")?,
    ];
    let guest = Guest {
        files,
        script: format!(
            "{TRY}
            try dry-run load --dry-run
            try status kdumpkit status
            try load load
            try status-loaded kdumpkit status
            try status-json kdumpkit status --json
            for image in fixed below-4g huge elf; do try $image load --kernel /images/$image; done
            try missing load --kernel /images/missing
            try unload kdumpkit unload
            try unload-again kdumpkit unload
            b mv /boot/vmlinuz-$RELEASE /boot/other
            try no-image load
            echo 1 >/proc/sys/kernel/kexec_load_disabled
            try disabled load --kernel /boot/other"
        ),
        ..Guest::default()
    };
    let said = bench.run(&guest)?;
    let expected = [
        ("dry-run:", "status 0 loaded 0: would load /boot/vmlinuz-"),
        ("load:", "status 0 loaded 1: loaded /boot/vmlinuz-"),
        ("status:", "status 4 loaded 0: A crash now is NOT captured."),
        (
            "status:",
            "MISSING loaded no capture kernel is loaded -> kdumpkit load",
        ),
        ("status:", "kdumpkit config example prints one"),
        (
            "status-loaded:",
            "status 3 loaded 1: A crash now is captured, but something is to be mended.",
        ),
        ("status-loaded:", "ok crashkernel 192 MiB at 0x"),
        ("status-loaded:", "ok loaded /boot/vmlinuz-"),
        (
            "status-loaded:",
            "warn kernel.panic_on_oops an oops in a process only kills the process",
        ),
        (
            "status-json:",
            "\"captured\": true, \"level\": \"warn\", \"findings\": [ {",
        ),
        ("fixed:", "status 1 loaded 1: "),
        ("fixed:", "relocatable_kernel is 0, needed: 1"),
        ("below-4g:", "status 1 loaded 1: "),
        (
            "below-4g:",
            "xloadflags is 0x007d, needed: bit 1, XLF_CAN_BE_LOADED_ABOVE_4G",
        ),
        (
            "huge:",
            "needed: init_size 0x20000000 bytes at a multiple of kernel_alignment 0x200000",
        ),
        ("elf:", "status 1 loaded 1: "),
        ("elf:", "header at offset 0x202 is"),
        ("missing:", "/images/missing: No such file"),
        ("unload:", "status 0 loaded 0: unloaded"),
        ("unload-again:", "status 0 loaded 0: nothing was loaded"),
        (
            "no-image:",
            "name it in [load] kernel or with --kernel. Tried:",
        ),
        (
            "disabled:",
            "kernel.kexec_load_disabled is 1, which only a reboot takes back (EPERM)",
        ),
    ];
    for (name, words) in expected {
        let answer = line(&said, name)?;
        ensure!(answer.contains(words), "{name} {answer}\nhas not {words:?}");
    }
    bench.done()
}

#[test]
#[ignore = "needs QEMU and the build root"]
fn load_when_nothing_is_reserved_says_what_to_do() -> Result<()> {
    let bench = Bench::new("unreserved")?;
    let guest = Guest {
        cmdline: "",
        script: format!("{TRY}\ntry load load"),
        ..Guest::default()
    };
    let said = bench.run(&guest)?;
    let answer = line(&said, "load:")?;
    ensure!(answer.starts_with("status 1 loaded 0"), "{answer}");
    ensure!(answer.contains("boot with crashkernel=SIZE"), "{answer}");
    bench.done()
}
