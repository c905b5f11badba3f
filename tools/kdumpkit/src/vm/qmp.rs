// SPDX-License-Identifier: GPL-2.0-or-later
//! The QEMU machine protocol: one command a connection (docs/interop/qmp-spec.rst of QEMU).

use super::QMP;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Events may come between command and answer; more than this many do not.
const MAX_LINES: usize = 100;

/// Sends an NMI to the guest whose socket is in `folder`.
///
/// # Errors
/// There is no QEMU, it does not answer in time, or it refuses.
pub(super) fn inject_nmi(folder: &Path) -> Result<()> {
    execute(folder, "inject-nmi").context("QMP inject-nmi")
}

fn execute(folder: &Path, command: &str) -> Result<()> {
    // By way of a descriptor: a socket's path may have 107 bytes only.
    let folder = File::open(folder)?;
    let path = format!("/proc/self/fd/{}/{QMP}", folder.as_raw_fd());
    let mut stream = UnixStream::connect(path).context("connecting")?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut lines = BufReader::new(stream.try_clone()?);
    for command in ["qmp_capabilities", command] {
        writeln!(stream, r#"{{"execute": "{command}"}}"#)?;
        answer(&mut lines).with_context(|| command.to_owned())?;
    }
    Ok(())
}

fn answer(lines: &mut impl BufRead) -> Result<()> {
    for _ in 0..MAX_LINES {
        let mut line = String::new();
        ensure!(
            lines.read_line(&mut line)? > 0,
            "QEMU closed the connection"
        );
        let value: Value = serde_json::from_str(&line).context("understanding QEMU")?;
        if let Some(error) = value.get("error") {
            bail!("{error}");
        }
        if value.get("return").is_some() {
            return Ok(());
        }
    }
    bail!("no answer among {MAX_LINES} lines")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_when_events_come_first_waits_for_the_return() {
        let mut lines: &[u8] = b"{\"QMP\":{}}\n{\"event\":\"RESET\"}\n{\"return\":{}}\n";
        answer(&mut lines).unwrap();
    }

    #[test]
    fn answer_when_refused_or_cut_off_is_an_error() {
        let mut refused: &[u8] = b"{\"error\":{\"desc\":\"no such command\"}}\n";
        assert!(
            answer(&mut refused)
                .unwrap_err()
                .to_string()
                .contains("no such command")
        );
        let mut cut: &[u8] = b"{\"QMP\":{}}\n";
        assert!(answer(&mut cut).unwrap_err().to_string().contains("closed"));
    }
}
