// SPDX-License-Identifier: GPL-2.0-or-later
//! Facts to findings, without a machine.

use super::facts::Facts;
use super::judge::{Level, judge};
use super::targets::TargetState;
use crate::load::initramfs::{Initramfs, Mkdfinfo};
use crate::load::iomem::{CrashMemory, Region};
use crate::load::record::{Record, Source};
use std::path::{Path, PathBuf};

fn source(path: &str) -> Source {
    Source {
        path: path.into(),
        bytes: 1,
        changed_ns: 1,
    }
}

/// A machine on which everything is right.
fn ready() -> Facts {
    let region = Region {
        start: 1 << 29,
        last: (1 << 29) + (256 << 20) - 1,
    };
    Facts {
        release: "7.3.4".into(),
        is_root: true,
        config: Ok("/etc/kdumpkit/kdumpkit.toml".into()),
        cmdline: "crashkernel=256M".into(),
        memory: CrashMemory {
            main: Some(region),
            low: None,
        },
        estimate_mib: None,
        loaded: true,
        record: Some(Record {
            kernel: source("/boot/vmlinuz-7.3.4"),
            release: Some("7.3.4".into()),
            initramfs: source("/var/lib/x"),
            cmdline: String::new(),
            addresses: (0, 0),
            early: true,
        }),
        image: Ok("/boot/vmlinuz-7.3.4".into()),
        initramfs: Some(Initramfs {
            path: "/var/lib/x".into(),
            bytes: 1,
            older_than: Vec::new(),
            mkdfinfo: Mkdfinfo::Fits,
            modules: Some(vec!["iTCO_wdt".into()]),
        }),
        watchdogs: vec!["iTCO_wdt".into()],
        targets: vec![TargetState {
            target: "raw /dev/vdb".into(),
            found: Ok("/dev/vdb".into()),
        }],
        sysctls: [("kernel.panic_on_oops".to_owned(), "1".to_owned())].into(),
        post_notifiers: false,
        early: None,
    }
}

/// The worst level, and everything that is said at that level.
fn worst(facts: &Facts) -> (Level, String) {
    let findings = judge(facts);
    let level = findings.iter().map(|f| f.level).max().unwrap();
    let says = findings
        .iter()
        .filter(|f| f.level == level)
        .map(|f| format!("{}: {}", f.what, f.says));
    (level, says.collect::<Vec<_>>().join("; "))
}

#[test]
fn judge_when_all_is_right_has_nothing_to_mend() {
    assert_eq!(worst(&ready()).0, Level::Ok);
}

#[test]
fn judge_when_something_is_wrong_says_what() {
    type Break = fn(&mut Facts);
    let cases: [(Break, Level, &str); 16] = [
        (
            |f| f.config = Err("k.toml:3: no".into()),
            Level::Warn,
            "configuration: k.toml:3: no",
        ),
        (
            |f| f.memory.main = None,
            Level::Missing,
            "crashkernel: no memory is reserved",
        ),
        (
            |f| f.cmdline = "crashkernel=256M@512M".into(),
            Level::Warn,
            "crashkernel: 256 MiB at 0x20000000-0x2fffffff",
        ),
        (
            |f| f.loaded = false,
            Level::Missing,
            "loaded: no capture kernel is loaded",
        ),
        (
            |f| f.record = None,
            Level::Warn,
            "a capture kernel that kdumpkit did not load",
        ),
        (
            |f| f.release = "7.3.5".into(),
            Level::Warn,
            "(release 7.3.4), early, but 7.3.5 is running",
        ),
        (
            |f| f.record.as_mut().unwrap().early = false,
            Level::Warn,
            "changed since: /boot/vmlinuz-7.3.4, /var/lib/x",
        ),
        (
            |f| f.image = Err("no image".into()),
            Level::Warn,
            "kernel image: no image",
        ),
        (
            |f| f.initramfs = None,
            Level::Warn,
            "initramfs: there is none",
        ),
        (
            |f| f.initramfs.as_mut().unwrap().older_than = vec!["/etc/x".into()],
            Level::Warn,
            "older than /etc/x",
        ),
        (
            |f| f.initramfs.as_mut().unwrap().mkdfinfo = Mkdfinfo::Missing,
            Level::Warn,
            "mkdfinfo: there is none in it",
        ),
        (
            |f| f.initramfs.as_mut().unwrap().mkdfinfo = Mkdfinfo::Differs,
            Level::Warn,
            "mkdfinfo: the one in it is not the running kernel's",
        ),
        (
            |f| f.watchdogs.push("lpc_ich".into()),
            Level::Warn,
            "watchdog: lpc_ich not in the initramfs",
        ),
        (
            |f| f.targets[0].found = Err("is not there".into()),
            Level::Warn,
            "target: raw /dev/vdb: is not there",
        ),
        (
            |f| f.estimate_mib = Some(300),
            Level::Warn,
            "256 MiB at 0x20000000-0x2fffffff, the last measured capture needed 300 MiB",
        ),
        (
            |f| {
                f.sysctls.insert("kernel.panic_on_oops".into(), "0".into());
            },
            Level::Warn,
            "kernel.panic_on_oops: an oops in a process only kills the process",
        ),
    ];
    for (change, level, words) in cases {
        let mut facts = ready();
        change(&mut facts);
        let (found, says) = worst(&facts);
        assert_eq!(found, level, "{says}");
        assert!(says.contains(words), "{says}\nhas not {words}");
    }
}

#[test]
fn look_when_an_input_is_newer_names_it() {
    let folder = std::env::temp_dir().join(format!("kdumpkit-status-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str| -> PathBuf { folder.join(name) };
    std::fs::write(file("old"), "").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    std::fs::write(file("initramfs"), "12").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    std::fs::write(file("new"), "").unwrap();
    let inputs = [file("old"), file("new"), file("missing")];
    let state = Initramfs::look(&file("initramfs"), &inputs).unwrap();
    assert_eq!(state.bytes, 2);
    assert_eq!(state.older_than, [file("new").display().to_string()]);
    assert!(Initramfs::look(Path::new("/nonexistent"), &[]).is_none());
    std::fs::remove_dir_all(folder).unwrap();
}
