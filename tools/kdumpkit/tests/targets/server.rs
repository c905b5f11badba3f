// SPDX-License-Identifier: GPL-2.0-or-later
//! Real servers on this machine's loopback; guests reach them as 10.0.2.2 through QEMU's user network.

use super::guest::Bench;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A server process; ends with the value.
pub struct Server {
    child: Child,
    pub port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its number").port()
}

/// Makes the ssh key `name` in the folder; its public half, as host_keys takes it.
pub fn ssh_key(bench: &Bench, name: &str) -> String {
    bench.tool("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", name]);
    let key = fs::read_to_string(bench.folder.join(format!("{name}.pub"))).expect("a key");
    let words: Vec<&str> = key.split_whitespace().take(2).collect();
    words.join(" ")
}

/// OpenSSH's sshd with one host key and one login key; returns the server's public key.
pub fn sshd(bench: &Bench) -> (Server, String) {
    let host_key = ssh_key(bench, "host");
    ssh_key(bench, "login");
    let folder = bench.folder.display();
    let port = free_port();
    fs::copy(
        bench.folder.join("login.pub"),
        bench.folder.join("authorized_keys"),
    )
    .expect("keys");
    fs::write(
        bench.folder.join("sshd.conf"),
        format!(
            "Port {port}\nListenAddress 127.0.0.1\nListenAddress ::1\nHostKey {folder}/host\nPidFile {folder}/sshd.pid\n\
             AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n\
             PasswordAuthentication no\n"
        ),
    )
    .expect("sshd.conf");
    let script = format!("mkdir -p /run/sshd && exec /usr/sbin/sshd -D -e -f {folder}/sshd.conf");
    (start(bench, "sshd", &["sh", "-c", &script], port), host_key)
}

/// NFS-Ganesha with one export, NFSv4 on one TCP port.
pub fn nfs(bench: &Bench) -> Server {
    let folder = bench.folder.display();
    let port = free_port();
    fs::create_dir_all(bench.folder.join("export")).expect("the exported folder");
    fs::write(
        bench.folder.join("ganesha.conf"),
        format!(
            "NFS_CORE_PARAM {{ allow_set_io_flusher_fail = true; Protocols = 4; NFS_Port = {port}; Bind_addr = 127.0.0.1; Enable_NLM = false; Enable_RQUOTA = false; }}\n\
             NFSv4 {{ Graceless = true; Grace_Period = 1; Lease_Lifetime = 10; RecoveryRoot = {folder}/recovery; }}\n\
             EXPORT {{ Export_Id = 1; Path = {folder}/export; Pseudo = /crash; Access_Type = RW; Squash = No_Root_Squash;\n\
             SecType = sys; Transports = TCP; Protocols = 4; PrivilegedPort = false; FSAL {{ Name = VFS; }} }}\n"
        ),
    )
    .expect("ganesha.conf");
    fs::create_dir_all(bench.folder.join("recovery")).expect("its state");
    let script = format!(
        "mkdir -p /var/run/ganesha && exec ganesha.nfsd -F -L {folder}/ganesha.log -f {folder}/ganesha.conf -p {folder}/ganesha.pid"
    );
    start(bench, "ganesha", &["sh", "-c", &script], port)
}

fn start(bench: &Bench, name: &str, command: &[&str], port: u16) -> Server {
    let log = fs::File::create(bench.folder.join(format!("{name}.stderr"))).expect("a log");
    let child = bench
        .lab
        .tree
        .in_buildroot(command[0])
        .current_dir(&bench.folder)
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect(name);
    let server = Server { child, port };
    let end = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(
            Instant::now() < end,
            "{name} does not listen on {port}, see {}",
            bench.folder.display()
        );
        sleep(Duration::from_millis(100));
    }
    server
}
