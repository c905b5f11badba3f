// SPDX-License-Identifier: GPL-2.0-or-later
//! Could the targets be reached now, from the running system? Looked at, not written to.

use crate::blockdev;
use crate::config::{Config, Kind, Nfs};
use crate::initramfs::look_up;
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// For a server's first answer, and for what it says first.
const PATIENCE: Duration = Duration::from_secs(3);
const NFS_PORT: u16 = 2049;

/// One target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetState {
    /// Type and place.
    pub target: String,
    /// What is there, or why it cannot be reached.
    pub found: Result<String, String>,
}

/// Looks at all of them at once: dead servers cost their patience together.
#[must_use]
pub fn look(config: &Config) -> Vec<TargetState> {
    thread::scope(|scope| {
        let looks: Vec<_> = config
            .targets
            .iter()
            .map(|target| (target, scope.spawn(|| look_at(&target.kind))))
            .collect();
        looks
            .into_iter()
            .map(|(target, found)| TargetState {
                target: target.kind.place(),
                found: found
                    .join()
                    .unwrap_or_else(|_| Ok("not looked at".to_owned()))
                    .map_err(|error| format!("{error:#}")),
            })
            .collect()
    })
}

fn look_at(kind: &Kind) -> Result<String> {
    match kind {
        Kind::Filesystem(disk) => {
            let path = find(&disk.device)?;
            let found = blockdev::file_system(&path)?;
            if let Some(wanted) = &disk.fstype {
                ensure!(
                    *wanted == found.fstype,
                    "it holds {}, the configuration says {wanted}",
                    found.fstype
                );
            }
            Ok(format!("{}, {}", path.display(), found.fstype))
        }
        Kind::Raw(raw) => {
            let path = find(&raw.device)?;
            if let Some(found) = blockdev::look(&path)? {
                anyhow::bail!(
                    "it holds a file system ({}) and would be refused",
                    found.fstype
                );
            }
            Ok(path.display().to_string())
        }
        Kind::Nfs(nfs) => {
            let address = SocketAddr::new(address(&nfs.server)?, nfs_port(nfs));
            connect(address)?;
            Ok(format!("{address} answers"))
        }
        Kind::Ssh(ssh) => {
            let address = SocketAddr::new(address(&ssh.server)?, ssh.port);
            let mut banner = [0; 8];
            connect(address)?
                .read_exact(&mut banner)
                .with_context(|| format!("{address} takes connections and says nothing"))?;
            ensure!(
                banner.starts_with(b"SSH-2.0"),
                "{address} is no ssh server: it begins with {:?}",
                String::from_utf8_lossy(&banner)
            );
            Ok(format!("{address} answers"))
        }
    }
}

fn find(device: &str) -> Result<PathBuf> {
    blockdev::find(device).with_context(|| format!("{device} is not on this machine now"))
}

fn address(server: &str) -> Result<IpAddr> {
    server.parse().or_else(|_| look_up(server))
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("{address} does not answer"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn nfs_port(nfs: &Nfs) -> u16 {
    nfs.options
        .split(',')
        .find_map(|option| option.strip_prefix("port=")?.parse().ok())
        .unwrap_or(NFS_PORT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;
    use std::path::Path;

    /// A server that says `words` to whoever comes.
    fn server(words: &'static [u8]) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = stream.unwrap().write_all(words);
            }
        });
        port
    }

    fn ssh(port: u16) -> String {
        format!(
            "[[target]]\ntype = \"ssh\"\nserver = \"127.0.0.1\"\nport = {port}\nidentity = \"/k\"\n\
             host_keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDnMoClrkaqx98XgYaBDBoYJTzmAvYvrpqLNIhyIMoiw\"]\n"
        )
    }

    #[test]
    fn look_when_targets_differ_says_which_can_be_reached() {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
        let dead = nobody.local_addr().unwrap().port();
        drop(nobody);
        let nfs = server(b"");
        let text = format!(
            "{}{}{}[[target]]\ntype = \"nfs\"\nserver = \"127.0.0.1\"\nexport = \"/x\"\noptions = \"vers=4.2,port={nfs}\"\n\
             [[target]]\ntype = \"filesystem\"\ndevice = \"LABEL=no-such-label\"\n\
             [network]\nipv4 = \"dhcp\"\n",
            ssh(server(b"SSH-2.0-x\r\n")),
            ssh(server(b"220 mail ready\r\n")),
            ssh(dead),
        );
        let config = Config::parse(&text, Path::new("test.toml")).unwrap();
        let states = look(&config);
        let words: Vec<&str> = states
            .iter()
            .map(|state| match &state.found {
                Ok(words) | Err(words) => words.as_str(),
            })
            .collect();
        assert_eq!(
            states.iter().map(|s| s.found.is_ok()).collect::<Vec<_>>(),
            [true, false, false, true, false],
            "{words:?}"
        );
        assert!(words[1].contains("is no ssh server"), "{words:?}");
        assert!(words[2].contains("does not answer"), "{words:?}");
        assert!(words[4].contains("not on this machine"), "{words:?}");
    }
}
