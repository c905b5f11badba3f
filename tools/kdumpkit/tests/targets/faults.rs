// SPDX-License-Identifier: GPL-2.0-or-later
//! Targets that fail: each ends in the next target or the failure action, and no partial dump looks whole.

use super::guest::{Bench, Run};
use super::network::{DHCP, ssh_target, with_nic};
use super::server::{free_port, ssh_key, sshd};
use kdumpkit::config::Action;
use kdumpkit::event::Event;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

const EXT4: [&str; 7] = ["mke2fs", "-q", "-F", "-t", "ext4", "-L", "crash"];
const DISK: &str = "[[target]]\ntype = \"filesystem\"\ndevice = \"/dev/vda\"\n";

/// Nothing is saved, and the failure action is what the configuration says.
fn nothing_saved(run: &Run, wanted: &str) {
    assert_eq!(run.dumps().len(), 0, "{:?}", run.events);
    let failures = run.failures();
    assert!(failures.iter().any(|f| f.contains(wanted)), "{failures:?}");
    let action = Event::Action {
        action: Action::Poweroff,
    };
    assert!(run.events.contains(&action), "{:?}", run.events);
}

fn failing(bench: &Bench, text: &str, modules: &[&str]) -> Run {
    let config = bench.config(&format!("failure_action = \"poweroff\"\n{text}"), modules);
    bench.crash(&config).ended()
}

#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn full_disk_leaves_the_log_and_no_dump() {
    let mut bench = Bench::new("full");
    // The log fits, the dump does not.
    bench.disk(8, &EXT4);
    let run = failing(&bench, DISK, &["virtio_blk", "ext4"]);
    nothing_saved(&run, "space");
    let (dump, files) = bench.fetch("ext4");
    assert!(
        dump.is_none() && files.contains("vmcore-dmesg.txt"),
        "{files}"
    );
    bench.done();
}

#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn raw_device_with_a_file_system_is_not_overwritten() {
    let mut bench = Bench::new("raw-in-use");
    bench.disk(64, &EXT4);
    let before = fs::read(bench.folder.join(&bench.disks[0])).expect("the disk");
    let text = "[[target]]\ntype = \"raw\"\ndevice = \"/dev/vda\"\n";
    let run = failing(&bench, text, &["virtio_blk"]);
    nothing_saved(&run, "holds a file system");
    let after = fs::read(bench.folder.join(&bench.disks[0])).expect("the disk");
    assert!(before == after, "the disk was written to");
    bench.done();
}

/// One guest, several dead servers and a wrong host key; each within its own deadline.
#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn dead_servers_and_a_wrong_host_key() {
    let mut bench = Bench::new("dead");
    with_nic(&mut bench);
    let (server, _) = sshd(&bench);
    let other = bench.tool(
        "sh",
        &[
            "-c",
            "ssh-keygen -q -t ed25519 -N '' -f other && cut -d' ' -f1,2 other.pub",
        ],
    );
    // Takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent_port = silent.local_addr().expect("its number").port();
    let key = other.trim();
    let text = [
        ssh_target(&bench, server.port, key),
        ssh_target(&bench, free_port(), key),
        ssh_target(&bench, silent_port, key),
        format!(
            "[[target]]\ntype = \"nfs\"\nserver = \"10.0.2.2\"\nexport = \"/crash\"\noptions = \"port={silent_port}\"\ndeadline_s = 20\n"
        ),
        DHCP.to_owned(),
    ];
    let run = failing(&bench, &text.concat(), &["virtio_net", "nfsv4"]);
    nothing_saved(&run, "none of the pinned ones");
    let failures = run.failures();
    assert_eq!(failures.len(), 4, "{failures:?}");
    assert!(failures[1].contains("connecting to"), "{failures:?}");
    assert!(
        failures[2].contains("did not answer within 20 s"),
        "{failures:?}"
    );
    assert!(
        failures[3].contains("20 s") || failures[3].contains("mounting"),
        "{failures:?}"
    );
    assert!(
        !bench.folder.join("received").exists(),
        "something was sent"
    );
    drop(server);
    bench.done();
}

#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn no_link_a_missing_module_and_then_a_disk() {
    let mut bench = Bench::new("no-link");
    bench.disk(1024, &EXT4);
    bench.devices = ["-device", "virtio-net-pci"].map(String::from).to_vec();
    let key = ssh_key(&bench, "login");
    // The driver of the interface is not packed: it never appears.
    let text = format!(
        "{}{DISK}[network]\ninterfaces = [\"eth0\"]\nipv4 = \"dhcp\"\nlink_deadline_s = 5\n",
        ssh_target(&bench, 22, &key)
    );
    let config = bench.config(&text, &["virtio_blk", "ext4"]);
    let run = bench.crash(&config).ended();
    assert!(run.failures()[0].contains("eth0"), "{:?}", run.events);
    assert_eq!(run.dumps().len(), 1, "{:?}", run.events);
    bench.done();
}

/// A disk with bad sectors, one in 16 MiB, whose reads end in EIO, and a hook that puts the vmcore there.
fn vmcore_with_bad_sectors(bench: &mut Bench) -> String {
    const SECTORS_PER_MIB: u64 = 2048;
    bench.disk(1024, &[]);
    let bad = (8..600).step_by(16).map(|mib| {
        let sector = mib * SECTORS_PER_MIB;
        format!("[inject-error]\nevent = \"read_aio\"\nerrno = \"5\"\nsector = \"{sector}\"\n")
    });
    fs::write(bench.folder.join("bad.conf"), bad.collect::<String>()).expect("the bad sectors");
    bench.disks[1] = format!("blkdebug:bad.conf:{}", bench.disks[1]);
    hooks(
        bench,
        "busybox dd if=/proc/vmcore of=/dev/vdb bs=1M && echo 3 >/proc/sys/vm/drop_caches &&
         busybox mount --bind /dev/vdb /proc/vmcore\n",
    )
}

/// The dump has all pages that could be read, and is no dump like any other.
#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn pages_that_cannot_be_read_are_left_out_of_a_dump_marked_incomplete() {
    let mut bench = Bench::new("bad-sectors");
    bench.disk(1024, &EXT4);
    let hooks = vmcore_with_bad_sectors(&mut bench);
    with_nic(&mut bench);
    let (server, key) = sshd(&bench);
    let always = format!(
        "{}when = \"always\"\n{DHCP}",
        ssh_target(&bench, server.port, &key)
    );
    // Nobody would get more of it: the second target's turn does not come.
    let run = failing(
        &bench,
        &format!("{DISK}{DISK}{always}{hooks}"),
        &["virtio_blk", "ext4", "virtio_net"],
    );
    drop(server);
    let incomplete = run.incomplete_dumps();
    let [(path, filter), (remote, _)] = incomplete.as_slice() else {
        panic!("{:?}", run.events);
    };
    assert!(path.ends_with("/vmcore-incomplete"), "{path}");
    assert!(remote.ends_with("/vmcore.flat-incomplete"), "{remote}");
    assert!(Path::new(remote).exists(), "{remote}");
    let said = run.dumps().is_empty() && run.failures().is_empty();
    assert!(said, "{:?}", run.events);
    let lost = filter["unreadable"]["pfns"][0][0].as_u64();
    let (whole, files) = bench.fetch("ext4");
    assert!(whole.is_none(), "{files}");
    assert!(files.contains("kdumpkit-summary.json"), "{files}");
    bench.disks.pop();
    let (dump, _) = bench.fetch_named("ext4", "vmcore-incomplete");
    let dump = vmcore::Dump::open(dump.expect("the dump")).expect("it opens");
    assert!(dump.is_incomplete());
    let lost = vmcore::Pfn(lost.expect("a page frame"));
    let found = dump.read_pages(lost, &mut [0; 4096]);
    let absent = matches!(found, Err(vmcore::Error::Absent(_, vmcore::Absence::Lost)));
    assert!(absent, "{found:?}");
    let log = dump.dmesg().expect("the log");
    assert!(log.contains("sysrq triggered crash"), "{log}");
    bench.done();
}

/// A hook leaves something running that eats all memory: that is what the kernel ends, and the dump is whole.
#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn memory_eaten_by_a_hook_does_not_cost_the_dump() {
    let mut bench = Bench::new("eater");
    bench.disk(1024, &EXT4);
    let hooks = hooks(
        &bench,
        "( x=0123456789abcdef; while :; do x=$x$x; done ) &\n",
    );
    let run = failing(&bench, &format!("{DISK}{hooks}"), &["virtio_blk", "ext4"]);
    assert!(
        run.console.contains("Out of memory: Killed process"),
        "{}",
        run.console
    );
    assert_eq!(run.dumps().len(), 1, "{:?}", run.events);
    let (dump, _) = bench.fetch("ext4");
    bench.judge(&dump.expect("a dump"));
    bench.done();
}

/// Memory runs out while the dump is written, by something that the kernel spares longer than a try: the try fails with that
/// reason, and the next target has its turn.
#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn memory_that_runs_out_during_a_dump_fails_the_try_and_names_it() {
    let mut bench = Bench::new("out-of-memory");
    bench.disk(1024, &EXT4);
    let hooks = hooks(
        &bench,
        "chunk=x; while [ ${#chunk} -lt 65536 ]; do chunk=$chunk$chunk; done
         eat() { i=$((i + 1)); eval \"x$i=\\$chunk\"; }
         available() { while read name kib rest; do [ $name = MemAvailable: ] && return; done </proc/meminfo; }
         while available && [ $kib -gt 16000 ]; do eat; done
         ( echo -500 >/proc/self/oom_score_adj
           until busybox grep -q 'vmcore-incomplet[e]' /proc/[0-9]*/cmdline; do :; done
           while :; do eat; done ) &\n",
    );
    let disk = format!("{DISK}deadline_s = 100\n");
    let run = failing(
        &bench,
        &format!("{disk}{disk}{hooks}"),
        &["virtio_blk", "ext4"],
    );
    let failures = run.failures();
    assert!(failures[0].contains("memory ran out"), "{failures:?}");
    // By then the kernel may have ended what ate the memory.
    assert_eq!(failures.len() + run.dumps().len(), 2, "{:?}", run.events);
    let (dump, files) = bench.fetch("ext4");
    assert_eq!(dump.is_some(), failures.len() == 1, "{files}");
    if let Some(dump) = dump {
        bench.judge(&dump);
    }
    bench.done();
}

/// Nothing at all is left: the kernel itself gives up, and reboots, for that is what panic=1 is for.
#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn no_memory_at_all_ends_in_a_reboot() {
    let mut bench = Bench::new("no-memory");
    bench.disk(1024, &EXT4);
    let hooks = hooks(
        &bench,
        "busybox mkdir /run/full && busybox mount -t tmpfs -o size=100% none /run/full &&
         while :; do busybox dd if=/dev/zero bs=64k count=16; done >/run/full/file\n",
    );
    let run = failing(&bench, &format!("{DISK}{hooks}"), &["virtio_blk", "ext4"]);
    let panic = "Kernel panic - not syncing: System is deadlocked on memory";
    assert!(run.console.contains(panic), "{}", run.console);
    assert!(run.dumps().is_empty(), "{:?}", run.events);
    let (dump, files) = bench.fetch("ext4");
    assert!(dump.is_none(), "{files}");
    bench.done();
}

/// Since the crash nobody feeds the watchdog that the first kernel's driver kept running: after 60 s it resets the machine,
/// unless the capture kernel has that driver.
#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn watchdog_that_runs_does_not_cost_the_dump_when_its_driver_is_packed() {
    const WATCHDOG: [&str; 2] = ["lpc_ich", "iTCO_wdt"];
    let mut bench = Bench::new("watchdog");
    bench.disk(1024, &EXT4);
    bench.running.extend(WATCHDOG.map(String::from));
    let text = format!("{DISK}{}", hooks(&bench, "busybox sleep 80\n"));
    let disk = ["virtio_blk", "ext4"];
    let run = failing(&bench, &text, &disk);
    assert!(run.dumps().is_empty(), "no watchdog: {:?}", run.events);
    let run = failing(&bench, &text, &[&WATCHDOG[..], &disk].concat());
    assert_eq!(run.dumps().len(), 1, "{:?}", run.events);
    let (dump, _) = bench.fetch("ext4");
    bench.judge(&dump.expect("a dump"));
    bench.done();
}

/// A `pre` hook with time enough for a slow machine.
fn hooks(bench: &Bench, script: &str) -> String {
    let path = bench.folder.join("hook.sh");
    fs::write(&path, script).expect("the hook");
    format!("[hooks]\npre = [{path:?}]\ndeadline_s = 300\n")
}

/// /proc/vmcore ends early: what is there must not be taken for the whole.
#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn unreadable_vmcore_is_no_dump() {
    let mut bench = Bench::new("unreadable");
    bench.disk(1024, &EXT4);
    let hook = bench.folder.join("cut.sh");
    fs::write(
        &hook,
        "busybox dd if=/proc/vmcore of=/run/cut bs=1M count=24 && busybox mount --bind /run/cut /proc/vmcore\n",
    )
    .expect("the hook");
    let text = format!("{DISK}deadline_s = 100\n[hooks]\npre = [{hook:?}]\n");
    let run = failing(&bench, &text, &["virtio_blk", "ext4"]);
    assert_eq!(run.dumps().len(), 0, "{:?}", run.events);
    assert!(!run.failures().is_empty(), "{:?}", run.events);
    let (dump, files) = bench.fetch("ext4");
    assert!(dump.is_none(), "{files}");
    bench.done();
}

/// The driver is there and the cable is not.
#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn link_that_never_comes_up_and_then_a_disk() {
    let mut bench = Bench::new("link-down");
    bench.disk(1024, &EXT4);
    with_nic(&mut bench);
    bench.monitor = vec!["set_link n off".into()];
    let key = ssh_key(&bench, "login");
    let text = format!(
        "{}{DISK}[network]\nipv4 = \"dhcp\"\nlink_deadline_s = 5\n",
        ssh_target(&bench, 22, &key)
    );
    let config = bench.config(&text, &["virtio_blk", "ext4", "virtio_net"]);
    let run = bench.crash(&config).ended();
    let failures = run.failures();
    assert!(
        failures.len() == 1 && failures[0].contains("no link on eth0 within link_deadline_s"),
        "{failures:?}"
    );
    assert_eq!(run.dumps().len(), 1, "{:?}", run.events);
    bench.done();
}

/// The configuration inside the initramfs is damaged: the machine reboots instead of hanging.
#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn damaged_configuration_reboots() {
    let bench = Bench::new("damaged");
    let config = bench.config(DISK, &["virtio_blk", "ext4"]);
    let built = kdumpkit::initramfs::build(&config, &bench.sources()).expect("the initramfs");
    let mut image = built.image;
    let at = image
        .windows(10)
        .rposition(|w| w == b"\"capture\":")
        .expect("the role in the archive");
    image[at] = b'?';
    let run = bench
        .crash_with(&image, "echo c > /proc/sysrq-trigger", "192M")
        .ended();
    assert_eq!(run.dumps().len(), 0, "{:?}", run.events);
    assert!(
        run.console
            .contains("understanding /etc/kdumpkit/role.json"),
        "{}",
        run.console
    );
    bench.done();
}
