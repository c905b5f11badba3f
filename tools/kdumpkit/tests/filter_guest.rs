// SPDX-License-Identifier: GPL-2.0-or-later
//! `kdumpkit filter` on the memory of a stock kernel under load: page classes against the kernel's own word for them,
//! every format against other readers, exchange with makedumpfile, full disks and cut files.
//!
//! `cargo test -p kdumpkit --test filter_guest -- --ignored filter_on` is what make check runs. KVER= chooses the kernel; KEEP=1
//! keeps the run's folder, REUSE=FOLDER takes its memory instead of running a guest; oracle_ needs
//! VMLINUX=$(scripts/debug-vmlinux), MEMORY_MIB= sets its guest's size.

#[path = "filter/classes.rs"]
mod classes;
#[path = "filter/guest.rs"]
mod guest;

use guest::Guest;
use std::fs::{self, OpenOptions};
use vmcore::Dump;

#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn filter_on_a_stock_kernel() {
    let guest = Guest::run(640);
    classes::agree_with_the_kernel(&guest);
    every_format_reads_as_the_memory_does(&guest);
    talks_lines_run(&guest);
    streams_and_parts_are_exchanged_with_makedumpfile(&guest);
    full_disk_leaves_what_fitted(&guest);
    cut_anywhere_is_noticed(&guest);
    unknown_kernel_is_refused_or_marked(&guest);
    guest.end();
}

/// All levels in every format, and no page of the kernel missing at level 31.
#[test]
#[ignore = "takes half an hour and the debug package: tests/run check full"]
fn oracle_finds_every_page_of_the_kernel() {
    let vmlinux = std::env::var("VMLINUX").expect("VMLINUX=$(scripts/debug-vmlinux)");
    let guest = Guest::run(memory_mib());
    classes::agree_with_the_kernel(&guest);
    guest.done("kdumpkit filter -d 31 crash/vmcore ours");
    guest.buildroot_shell("makedumpfile --message-level 0 -l -d 31 crash/vmcore theirs");
    fs::write(
        guest.folder.join("workaround"),
        format!(
            "OSRELEASE={}\nPAGESIZE=4096\nOFFSET(page.compound_head)=8\n",
            guest.release()
        ),
    )
    .expect("workaround");
    guest.buildroot_shell(
        "makedumpfile --message-level 0 -l -d 31 -i workaround crash/vmcore theirs-i",
    );
    assert!(guest.python(
        "oracle.py",
        &[&vmlinux, "crash/vmcore", "ours", "theirs", "theirs-i"]
    ));
    let mut dumps = Vec::new();
    for level in 0..32 {
        for (option, name) in FORMATS {
            let dump = format!("{name}-{level}");
            guest.done(&format!(
                "kdumpkit filter {option} -d {level} crash/vmcore {dump}"
            ));
            dumps.push(dump);
        }
        assert!(
            guest.python("readers.py", &reader_arguments(&dumps)),
            "level {level}"
        );
        for dump in dumps.drain(..) {
            fs::remove_file(guest.folder.join(dump)).expect("removing a dump");
        }
    }
    guest.end();
}

/// The raw vmcore of a guest under load, left at $VMCORE for tests/filter/bench.
#[test]
#[ignore = "not a test: tests/filter/bench runs it"]
fn memory_for_the_benchmark() {
    let guest = Guest::run(memory_mib());
    let vmcore = std::env::var("VMCORE").expect("VMCORE=FILE");
    fs::rename(guest.vmcore(), &vmcore).expect("VMCORE on the file system of the tree");
    guest.end();
}

fn memory_mib() -> u32 {
    std::env::var("MEMORY_MIB").map_or(1024, |mib| mib.parse().expect("MEMORY_MIB"))
}

const FORMATS: [(&str, &str); 6] = [
    ("-z", "zstd"),
    ("-l", "lzo"),
    ("-c", "zlib"),
    ("-p", "snappy"),
    ("--uncompressed", "raw"),
    ("-E", "elf"),
];

fn reader_arguments(dumps: &[String]) -> Vec<&str> {
    ["crash/vmcore"]
        .into_iter()
        .chain(dumps.iter().map(String::as_str))
        .collect()
}

fn every_format_reads_as_the_memory_does(guest: &Guest) {
    for (level, formats) in [(1, &FORMATS[..1]), (31, &FORMATS[..])] {
        let mut dumps = Vec::new();
        for (option, name) in formats {
            let dump = format!("{name}-{level}");
            guest.done(&format!(
                "kdumpkit filter --verify {option} -d {level} crash/vmcore {dump}"
            ));
            dumps.push(dump);
        }
        assert!(
            guest.python("readers.py", &reader_arguments(&dumps)),
            "level {level}"
        );
    }
}

/// The command lines of the 2007 paper's tool, under its name.
fn talks_lines_run(guest: &Guest) {
    fs::copy(guest.vmcore(), guest.folder.join("vmcore")).expect("copy");
    let lines = [
        "makedumpfile -c -d 31 -i mkdfinfo vmcore talk-kdump",
        "makedumpfile -E -d 31 -i mkdfinfo vmcore talk-elf",
        "makedumpfile -F -c -d 31 -i mkdfinfo vmcore > talk-flattened",
        "makedumpfile -R talk-rearranged < talk-flattened",
    ];
    for line in lines {
        guest.done(line);
    }
    if let Ok(vmlinux) = std::env::var("VMLINUX") {
        guest.done(&format!("makedumpfile -g talk-mkdfinfo -x {vmlinux}"));
        guest.done("makedumpfile -c -d 31 -i talk-mkdfinfo vmcore talk-x");
        same_bytes(guest, "talk-kdump", "talk-x");
    }
    same_bytes(guest, "talk-kdump", "zlib-31");
    same_bytes(guest, "talk-kdump", "talk-rearranged");
    same_bytes(guest, "talk-elf", "elf-31");
}

fn same_bytes(guest: &Guest, one: &str, other: &str) {
    let read = |name: &str| fs::read(guest.folder.join(name)).expect("a dump");
    assert!(
        read(one) == read(other),
        "{one} and {other} differ, see {}",
        guest.folder.display()
    );
}

fn streams_and_parts_are_exchanged_with_makedumpfile(guest: &Guest) {
    // Ours to them.
    guest.done("kdumpkit filter -F -l -d 31 crash/vmcore > ours-flattened");
    guest.buildroot_shell("makedumpfile --message-level 0 -R ours-rearranged < ours-flattened");
    same_bytes(guest, "ours-rearranged", "lzo-31");
    guest.done("kdumpkit filter -l -d 31 --split crash/vmcore ours-1 ours-2 ours-3");
    guest.buildroot_shell(
        "makedumpfile --message-level 0 --reassemble ours-1 ours-2 ours-3 ours-joined",
    );
    // Whole streams, compressed as a whole.
    guest.done("kdumpkit filter -F --stream zstd --uncompressed -d 31 crash/vmcore | kdumpkit filter -R streamed");
    same_bytes(guest, "streamed", "raw-31");
    // Theirs to us, at a level at which they are right.
    guest.buildroot_shell(
        "makedumpfile --message-level 0 -l -d 17 crash/vmcore theirs
         makedumpfile --message-level 0 -F -l -d 17 crash/vmcore > theirs-flattened
         makedumpfile --message-level 0 -E -d 17 crash/vmcore theirs-elf
         makedumpfile --message-level 0 -l -d 17 --split crash/vmcore theirs-1 theirs-2",
    );
    guest.done("kdumpkit filter -R theirs-rearranged < theirs-flattened");
    guest.done("kdumpkit filter --reassemble -l theirs-1 theirs-2 theirs-joined");
    guest.done("kdumpkit filter -l theirs theirs-again");
    guest.done("kdumpkit filter -l -d 1 theirs-elf theirs-elf-again");
    let kdump = [
        "theirs",
        "theirs-rearranged",
        "theirs-joined",
        "theirs-again",
    ];
    for dumps in [
        &kdump[..],
        &["lzo-31", "ours-joined"],
        &["theirs-elf-again"],
    ] {
        let arguments = [&["crash/vmcore"], dumps].concat();
        assert!(guest.python("readers.py", &arguments), "{dumps:?}");
    }
}

/// A file system that is full after each tenth of the dump: exit status 3, and drgn opens what there is.
fn full_disk_leaves_what_fitted(guest: &Guest) {
    let whole = fs::metadata(guest.folder.join("lzo-31"))
        .expect("lzo-31")
        .len();
    let mut dumps = vec!["lzo-31".to_owned()];
    for tenth in 1..10 {
        let kib = whole * tenth / 10 / 1024;
        guest.buildroot_shell(&format!(
            "mkdir -p full; busybox mount -t tmpfs -o size={kib}k tmpfs full
             status=0; {} filter -l -d 31 crash/vmcore full/dump 2>&1 || status=$?
             cp full/dump full-{tenth}; busybox umount full; [ $status = 3 ]",
            guest::kdumpkit().display()
        ));
        let dump = format!("full-{tenth}");
        assert!(
            Dump::open(guest.folder.join(&dump))
                .expect("opens")
                .is_incomplete()
        );
        dumps.push(dump);
    }
    // Pages compress differently well, and some of the space is not for pages: half of the share is enough.
    let arguments = [vec!["--incomplete", "5"], reader_arguments(&dumps)].concat();
    assert!(guest.python("readers.py", &arguments));
    for dump in &dumps[1..] {
        fs::remove_file(guest.folder.join(dump)).expect("removing a dump");
    }
    // A list of levels falls back to the one that fits.
    guest.done(&format!(
        "kdumpkit filter -l -d 0,31 -L {whole} crash/vmcore fallback"
    ));
    same_bytes(guest, "fallback", "lzo-31");
}

fn cut_anywhere_is_noticed(guest: &Guest) {
    for name in ["zstd-31", "elf-31", "ours-flattened", "ours-2"] {
        let path = guest.folder.join(name);
        let bytes = fs::metadata(&path).expect(name).len();
        let file = OpenOptions::new().write(true).open(&path).expect(name);
        let open = |path| match name {
            "ours-2" => {
                Dump::open_split(&["ours-1", name, "ours-3"].map(|part| guest.folder.join(part)))
                    .map(|_| ())
            }
            _ => Dump::open(path).map(|_| ()),
        };
        open(&path).expect("whole");
        // Shorter and shorter: the last bytes one by one, then 500 places down to nothing.
        for end in (bytes - 100..bytes)
            .rev()
            .chain((0..500).rev().map(|i| bytes * i / 500))
        {
            file.set_len(end).expect("cutting");
            assert!(open(&path).is_err(), "{name} cut to {end} of {bytes} bytes");
        }
    }
}

fn unknown_kernel_is_refused_or_marked(guest: &Guest) {
    // The layout of an older kernel: the page type is a bit, not a number.
    let text = fs::read_to_string(guest.mkdfinfo()).expect("mkdfinfo");
    let buddy = "NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=";
    let wrong: String = text
        .lines()
        .filter(|line| !line.starts_with(buddy))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(guest.folder.join("old"), wrong + buddy + "-129\n").expect("old");
    let refused = guest.shell("kdumpkit filter -d 31 -i old crash/vmcore forced");
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && words.contains("--force"),
        "{words}"
    );
    assert!(!guest.folder.join("forced").exists());
    guest.done("kdumpkit filter -d 31 --force -i old crash/vmcore forced");
    let forced = Dump::open(guest.folder.join("forced")).expect("forced");
    let remark = forced.remark().expect("a remark");
    assert!(remark.contains("PAGE_BUDDY_MAPCOUNT_VALUE"), "{remark}");
    assert!(guest.python("readers.py", &["crash/vmcore", "forced"]));
}
