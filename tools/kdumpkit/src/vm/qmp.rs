// SPDX-License-Identifier: GPL-2.0-or-later
//! The QEMU machine protocol: one command a connection (docs/interop/qmp-spec.rst of QEMU).

use super::QMP;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
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
    execute(folder, "inject-nmi", None).context("QMP inject-nmi")?;
    Ok(())
}

/// Runs a command of the human monitor in the QEMU whose socket is in `folder`; its output, in which it may say that it
/// failed.
///
/// # Errors
/// There is no QEMU, or it does not answer in time.
pub fn human(folder: &Path, command: &str) -> Result<String> {
    let arguments = json!({ "command-line": command });
    let said = execute(folder, "human-monitor-command", Some(arguments))
        .with_context(|| format!("QEMU's monitor: {command}"))?;
    Ok(said.as_str().unwrap_or_default().trim().to_owned())
}

fn execute(folder: &Path, command: &str, arguments: Option<Value>) -> Result<Value> {
    // By way of a descriptor: a socket's path may have 107 bytes only.
    let folder = File::open(folder)?;
    let path = format!("/proc/self/fd/{}/{QMP}", folder.as_raw_fd());
    let mut stream = UnixStream::connect(path).context("connecting")?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut lines = BufReader::new(stream.try_clone()?);
    writeln!(stream, "{}", json!({ "execute": "qmp_capabilities" }))?;
    answer(&mut lines).context("qmp_capabilities")?;
    let mut request = json!({ "execute": command });
    if let Some(arguments) = arguments {
        request["arguments"] = arguments;
    }
    writeln!(stream, "{request}")?;
    answer(&mut lines).with_context(|| command.to_owned())
}

fn answer(lines: &mut impl BufRead) -> Result<Value> {
    for _ in 0..MAX_LINES {
        let mut line = String::new();
        ensure!(
            lines.read_line(&mut line)? > 0,
            "QEMU closed the connection"
        );
        let mut value: Value = serde_json::from_str(&line).context("understanding QEMU")?;
        if let Some(error) = value.get("error") {
            bail!("{error}");
        }
        if let Some(value) = value.get_mut("return") {
            return Ok(value.take());
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
