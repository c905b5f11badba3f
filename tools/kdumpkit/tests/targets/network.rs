// SPDX-License-Identifier: GPL-2.0-or-later
//! Servers.

use super::guest::Bench;
use super::server::{nfs, sshd};
use super::trunk::Trunk;
use std::fs;
use std::path::PathBuf;

pub const NIC: [&str; 4] = ["-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n"];
pub const DHCP: &str = "[network]\nipv4 = \"dhcp\"\n";

pub fn with_nic(bench: &mut Bench) {
    bench.devices = NIC.map(String::from).to_vec();
}

pub fn ssh_target(bench: &Bench, port: u16, host_key: &str) -> String {
    ssh_target_at("10.0.2.2", bench, port, host_key)
}

fn ssh_target_at(server: &str, bench: &Bench, port: u16, host_key: &str) -> String {
    let folder = bench.folder.display();
    format!(
        "[[target]]\ntype = \"ssh\"\nserver = \"{server}\"\nport = {port}\nhost_keys = [\"{host_key}\"]\n\
         identity = \"{folder}/login\"\npath = \"{folder}/received\"\ndeadline_s = 200\n"
    )
}

pub fn nfs_target(port: u16) -> String {
    format!(
        "[[target]]\ntype = \"nfs\"\nserver = \"10.0.2.2\"\nexport = \"/crash\"\noptions = \"port={port}\"\n"
    )
}

/// The folder of the only crash below `parent`.
fn crash_folder(bench: &Bench, parent: &str) -> PathBuf {
    let mut folders: Vec<PathBuf> = fs::read_dir(bench.folder.join(parent))
        .expect(parent)
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.is_dir())
        .collect();
    assert_eq!(folders.len(), 1, "{folders:?}");
    folders.remove(0)
}

/// A dump that came over ssh, as an ordinary one.
pub fn received(bench: &Bench) -> PathBuf {
    let folder = crash_folder(bench, "received");
    let dump = bench.folder.join("dump");
    let stream = fs::File::open(folder.join("vmcore.flat")).expect("vmcore.flat");
    let status = std::process::Command::new(super::guest::kdumpkit())
        .args(["filter", "-R", "-f"])
        .arg(&dump)
        .stdin(stream)
        .status()
        .expect("kdumpkit filter -R");
    assert!(status.success());
    for name in ["vmcore-dmesg.txt", "kdumpkit-summary.json"] {
        assert!(folder.join(name).exists(), "{name} in {}", folder.display());
    }
    assert!(!folder.join("vmcore.flat-incomplete").exists());
    dump
}

#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn ssh_by_dhcp() {
    let mut bench = Bench::new("ssh");
    with_nic(&mut bench);
    let (server, key) = sshd(&bench);
    let text = format!("{}{DHCP}", ssh_target(&bench, server.port, &key));
    let config = bench.config(&text, &["virtio_net"]);
    let run = bench.crash(&config).ended();
    assert_eq!(run.dumps().len(), 1, "{:?}", run.events);
    bench.judge(&received(&bench));
    drop(server);
    bench.done();
}

/// A crash, and the dump over ssh to `server`, the host as QEMU's user network shows it.
fn over_ssh(mut bench: Bench, devices: &[&str], server: &str, network: &str, modules: &[&str]) {
    bench.devices = devices.iter().map(|d| (*d).to_owned()).collect();
    let (sshd, key) = sshd(&bench);
    let target = ssh_target_at(server, &bench, sshd.port, &key);
    let config = bench.config(&format!("{target}[network]\n{network}"), modules);
    let run = bench.crash(&config).ended();
    assert_eq!(run.failures(), [""; 0], "{:?}", run.events);
    assert_eq!(run.dumps().len(), 1, "{:?}", run.events);
    bench.judge(&received(&bench));
    drop(sshd);
    bench.done();
}

/// The address comes from router advertisements; there is no IPv4.
#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn ssh_over_ipv6() {
    let only_ipv6 = ["-netdev", "user,id=n,ipv4=off,ipv6=on", NIC[2], NIC[3]];
    let network = "ipv6 = \"auto\"\n";
    let bench = Bench::new("ipv6");
    over_ssh(bench, &only_ipv6, "fec0::2", network, &["virtio_net"]);
}

/// Two interfaces, the first one without a link: active-backup takes the other.
#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn ssh_over_a_bond_with_a_dead_member() {
    let mut bench = Bench::new("bond");
    bench.monitor = vec!["set_link n off".into()];
    let second = ["-netdev", "user,id=m", "-device", "virtio-net-pci,netdev=m"];
    let network = "interfaces = [\"eth0\", \"eth1\"]\nbond = \"active-backup\"\nipv4 = \"dhcp\"\n";
    let devices = [NIC, second].concat();
    let modules = ["virtio_net", "bonding"];
    over_ssh(bench, &devices, "10.0.2.2", network, &modules);
}

/// Behind a switch port that takes frames with the right tag alone.
#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn ssh_over_a_vlan() {
    const VLAN: u16 = 42;
    let bench = Bench::new("vlan");
    let port = Trunk::start(&bench, VLAN);
    let netdev = port.netdev();
    let devices = ["-netdev", &netdev, NIC[2], NIC[3]];
    let network = format!("vlan = {VLAN}\nipv4 = \"dhcp\"\n");
    let modules = ["virtio_net", "8021q"];
    over_ssh(bench, &devices, "10.0.2.2", &network, &modules);
    drop(port);
}

/// The disk is missing, the server takes the dump: IPv4 is static here.
#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn fallback_from_a_missing_disk_to_ssh() {
    let mut bench = Bench::new("fallback");
    with_nic(&mut bench);
    let (server, key) = sshd(&bench);
    let text = format!(
        "[[target]]\ntype = \"filesystem\"\ndevice = \"LABEL=nosuch\"\ndeadline_s = 60\n{}\
         [network]\nipv4 = \"10.0.2.15/24\"\nipv4_gateway = \"10.0.2.2\"\n",
        ssh_target(&bench, server.port, &key)
    );
    let config = bench.config(&text, &["virtio_net"]);
    let run = bench.crash(&config).ended();
    let failures = run.failures();
    assert_eq!(failures.len(), 1, "{:?}", run.events);
    assert!(
        failures[0].contains("LABEL=nosuch did not appear"),
        "{failures:?}"
    );
    assert_eq!(run.dumps().len(), 1, "{:?}", run.events);
    bench.judge(&received(&bench));
    drop(server);
    bench.done();
}

#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn nfs_by_dhcp() {
    let mut bench = Bench::new("nfs");
    with_nic(&mut bench);
    let server = nfs(&bench);
    let text = format!("{}{DHCP}", nfs_target(server.port));
    let config = bench.config(&text, &["virtio_net", "nfsv4"]);
    let run = bench.crash(&config).ended();
    assert_eq!(run.dumps().len(), 1, "{:?}", run.events);
    let folder = crash_folder(&bench, "export/var/crash");
    bench.judge(&folder.join("vmcore"));
    assert!(folder.join("vmcore-dmesg.txt").exists());
    drop(server);
    bench.done();
}
