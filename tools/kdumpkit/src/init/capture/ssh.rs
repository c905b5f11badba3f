// SPDX-License-Identifier: GPL-2.0-or-later
//! Target ssh: the dump as a flattened stream to a shell on the server, without any program of the distribution.
//!
//! A stream that breaks off ends the server's `cat` like one that is complete. So the final name is given by a second
//! command, once this side knows that the filter is done and the server has counted every byte.

use super::attempt::{Job, Saved, read_summary};
use super::collect::{self, Unreadable, has_written, in_words};
use super::folder::LOG;
use super::summary;
use crate::config::{Save, Ssh};
use anyhow::{Context, Result, bail, ensure};
use russh::client::{self, Handle};
use russh::keys::{PrivateKeyWithHashAlg, PublicKey, load_secret_key};
use russh::{ChannelMsg, Disconnect};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};

/// The dump's name on the server; `kdumpkit filter -R` turns it into an ordinary dump.
const DUMP: &str = "vmcore.flat";
const CONNECT_DEADLINE: Duration = Duration::from_secs(20);
/// A server that says nothing for three of these is dead.
const KEEPALIVE: Duration = Duration::from_secs(10);

pub(super) fn save(job: &Job, server: &Ssh) -> Result<Saved> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the ssh client")?;
    runtime.block_on(async {
        let mut session = Session::open(server).await?;
        let saved = session.save(job, server).await;
        session.close().await;
        saved
    })
}

/// Believes the pinned keys and no other.
struct Pinned {
    keys: Vec<PublicKey>,
}

impl client::Handler for Pinned {
    type Error = anyhow::Error;

    async fn check_server_key(&mut self, key: &PublicKey) -> Result<bool> {
        if self.keys.iter().any(|k| k.key_data() == key.key_data()) {
            return Ok(true);
        }
        let shown = key.to_openssh().unwrap_or_default();
        bail!(
            "the server's host key is none of the pinned ones: {shown}; nothing was sent, check host_keys"
        );
    }
}

struct Session {
    handle: Handle<Pinned>,
}

impl Session {
    async fn open(server: &Ssh) -> Result<Self> {
        let address: IpAddr = server.server.parse().with_context(|| {
            format!(
                "{} is no address: names are looked up when the initramfs is built",
                server.server
            )
        })?;
        let keys = server
            .host_keys
            .iter()
            .map(|key| PublicKey::from_openssh(key).with_context(|| format!("host key {key}")))
            .collect::<Result<Vec<_>>>()?;
        let config = Arc::new(client::Config {
            keepalive_interval: Some(KEEPALIVE),
            nodelay: true,
            preferred: preferred(&keys),
            ..client::Config::default()
        });
        let address = SocketAddr::new(address, server.port);
        let connecting = client::connect(config, address, Pinned { keys });
        let mut handle = tokio::time::timeout(CONNECT_DEADLINE, connecting)
            .await
            .with_context(|| {
                format!(
                    "{address} did not answer within {} s",
                    CONNECT_DEADLINE.as_secs()
                )
            })?
            .with_context(|| format!("connecting to {address}"))?;
        let identity = Path::new(crate::initramfs::IDENTITY_PATH);
        let key = load_secret_key(identity, None)
            .with_context(|| format!("reading the private key {}", identity.display()))?;
        let hash = handle.best_supported_rsa_hash().await?.flatten();
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
        let answer = handle
            .authenticate_publickey(server.user.as_str(), key)
            .await
            .context("logging in")?;
        ensure!(
            answer.success(),
            "{address} does not let {} in with this key: is it in authorized_keys?",
            server.user
        );
        Ok(Self { handle })
    }

    async fn close(&mut self) {
        let bye = self.handle.disconnect(Disconnect::ByApplication, "", "en");
        let _ = tokio::time::timeout(Duration::from_secs(2), bye).await;
    }

    async fn save(&mut self, job: &Job<'_>, server: &Ssh) -> Result<Saved> {
        let start = Instant::now();
        let folder = format!(
            "{}/{}-{}",
            server.path.trim_end_matches('/'),
            job.role.hostname,
            job.stamp
        );
        if job.summary {
            let text = read_summary()?;
            return self.put_bytes(&folder, summary::NAME, &text).await;
        }
        let log = Path::new("/run/kdumpkit-dmesg.txt");
        let logged = match collect::log(log) {
            Ok(()) => self.put_bytes(&folder, LOG, &std::fs::read(log)?).await,
            Err(error) => Err(error),
        };
        match (logged, job.save) {
            (Ok(saved), Save::Dmesg) => return Ok(saved),
            (Ok(_), Save::Dump) => job.log_saved(),
            (Err(error), Save::Dump) => eprintln!("kdumpkit init: saving the log: {error:#}"),
            (Err(error), Save::Dmesg) => return Err(error.context("saving the log")),
        }
        let mut saved = self.put_dump(job, &folder).await?;
        saved.elapsed_ms = start.elapsed().as_millis() as u64;
        Ok(saved)
    }

    async fn put_dump(&mut self, job: &Job<'_>, folder: &str) -> Result<Saved> {
        let mut filter = tokio::process::Command::from(job.role.collector.stream()?)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting the filter")?;
        let stream = filter.stdout.take().context("the filter has no output")?;
        let words = filter.stderr.take().context("the filter has no words")?;
        let (bytes, report) = tokio::join!(self.send(folder, DUMP, stream), report(words));
        let bytes = bytes?;
        let status = filter.wait().await?;
        ensure!(
            has_written(status),
            "the filter ended with {} after {bytes} bytes; they are {folder}/{DUMP}-incomplete",
            in_words(status)
        );
        let mut saved = if Unreadable::of(report.as_ref()).is_some() {
            Saved::of(format!("{folder}/{DUMP}-incomplete"), bytes)
        } else {
            self.rename(folder, DUMP, bytes).await?
        };
        saved.filter = report;
        Ok(saved)
    }

    async fn put_bytes(&mut self, folder: &str, name: &str, data: &[u8]) -> Result<Saved> {
        let bytes = self.send(folder, name, data).await?;
        self.rename(folder, name, bytes).await
    }

    /// Streams `data` into NAME-incomplete.
    async fn send(
        &mut self,
        folder: &str,
        name: &str,
        mut data: impl AsyncRead + Unpin,
    ) -> Result<u64> {
        let file = quote(&format!("{folder}/{name}-incomplete"));
        let command = format!(
            "umask 077; mkdir -p {} && cat > {file} && sync {file}",
            quote(folder)
        );
        let mut channel = self.handle.channel_open_session().await?;
        channel.exec(true, command.as_str()).await?;
        let mut writer = channel.make_writer();
        let mut buffer = vec![0; 256 << 10];
        let mut bytes = 0;
        let mut said = String::new();
        loop {
            let n = data.read(&mut buffer).await.context("reading the dump")?;
            if n == 0 {
                break;
            }
            tokio::select! {
                written = writer.write_all(&buffer[..n]) => {
                    written.with_context(|| format!("sending after {bytes} bytes"))?;
                }
                // The server's end of it: no room, no permission.
                ended = finished(&mut channel, &mut said) => {
                    bail!("the server ended after {bytes} bytes: {}", ended_words(ended, &said));
                }
            }
            bytes += n as u64;
        }
        drop(writer);
        channel.eof().await?;
        let status = finished(&mut channel, &mut said).await;
        ensure!(
            status == Some(0),
            "writing {folder}/{name}-incomplete on the server: {}",
            ended_words(status, &said)
        );
        Ok(bytes)
    }

    /// Gives the final name to what has all its bytes.
    async fn rename(&mut self, folder: &str, name: &str, bytes: u64) -> Result<Saved> {
        let path = format!("{folder}/{name}");
        let (from, to) = (quote(&format!("{path}-incomplete")), quote(&path));
        let command = format!(
            "n=$(wc -c < {from}) && [ \"$n\" -eq {bytes} ] && mv {from} {to} && sync {}",
            quote(folder)
        );
        let mut channel = self.handle.channel_open_session().await?;
        channel.exec(true, command.as_str()).await?;
        let mut said = String::new();
        let status = finished(&mut channel, &mut said).await;
        ensure!(
            status == Some(0),
            "the server did not confirm {bytes} bytes for {path}: {}",
            ended_words(status, &said)
        );
        Ok(Saved::of(path, bytes))
    }
}

/// The filter's report is a line of JSON; its other words are for the console.
async fn report(words: impl AsyncRead + Unpin) -> Option<serde_json::Value> {
    let mut report = None;
    let mut lines = BufReader::new(words).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(value @ serde_json::Value::Object(_)) => report = Some(value),
            _ => eprintln!("{line}"),
        }
    }
    report
}

/// Algorithms of the pinned keys first: a server has several keys, and shows the one that is asked for.
fn preferred(keys: &[PublicKey]) -> russh::Preferred {
    let algorithms: Vec<_> = keys.iter().map(PublicKey::algorithm).collect();
    russh::Preferred {
        key: algorithms.into(),
        ..russh::Preferred::default()
    }
}

/// Waits for the end of the server's command; None: the connection ended first.
async fn finished(channel: &mut russh::Channel<client::Msg>, said: &mut String) -> Option<u32> {
    let mut status = None;
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
            ChannelMsg::ExtendedData { data, .. } if said.len() < 2000 => {
                said.push_str(&String::from_utf8_lossy(&data));
            }
            ChannelMsg::Close => break,
            _ => {}
        }
    }
    status
}

fn ended_words(status: Option<u32>, said: &str) -> String {
    match status {
        Some(status) => format!("exit status {status} {}", said.trim()),
        None => format!("the connection ended {}", said.trim()),
    }
}

/// For the server's shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn quote_when_hostile_stays_one_word() {
        assert_eq!(quote("a b; rm $(x)"), "'a b; rm $(x)'");
        assert_eq!(quote("it's"), "'it'\\''s'");
    }
}
