// SPDX-License-Identifier: GPL-2.0-or-later
//! Targets that fail: each ends in the next target or the failure action, and no partial dump looks whole.

use super::guest::{Bench, Run};
use super::network::{DHCP, ssh_target, with_nic};
use super::server::{free_port, ssh_key, sshd};
use kdumpkit::config::Action;
use kdumpkit::event::Event;
use std::fs;
use std::net::TcpListener;

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
