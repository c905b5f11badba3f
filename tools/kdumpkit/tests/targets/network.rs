// SPDX-License-Identifier: GPL-2.0-or-later
//! Servers.

use super::guest::Bench;
use super::server::{nfs, sshd};
use std::fs;
use std::path::PathBuf;

pub const NIC: [&str; 4] = ["-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n"];
pub const DHCP: &str = "[network]\nipv4 = \"dhcp\"\n";

pub fn with_nic(bench: &mut Bench) {
    bench.devices = NIC.map(String::from).to_vec();
}

pub fn ssh_target(bench: &Bench, port: u16, host_key: &str) -> String {
    let folder = bench.folder.display();
    format!(
        "[[target]]\ntype = \"ssh\"\nserver = \"10.0.2.2\"\nport = {port}\nhost_keys = [\"{host_key}\"]\n\
         identity = \"{folder}/login\"\npath = \"{folder}/received\"\ndeadline_s = 200\n"
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
    let text = format!(
        "[[target]]\ntype = \"nfs\"\nserver = \"10.0.2.2\"\nexport = \"/crash\"\noptions = \"port={}\"\n{DHCP}",
        server.port
    );
    let config = bench.config(&text, &["virtio_net", "nfsv4"]);
    let run = bench.crash(&config).ended();
    assert_eq!(run.dumps().len(), 1, "{:?}", run.events);
    let folder = crash_folder(&bench, "export/var/crash");
    bench.judge(&folder.join("vmcore"));
    assert!(folder.join("vmcore-dmesg.txt").exists());
    drop(server);
    bench.done();
}
