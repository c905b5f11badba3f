// SPDX-License-Identifier: GPL-2.0-or-later
//! One try at one target, in a process of its own.
//!
//! The process has a session and a mount namespace of its own: ending its group ends the filter too, and a mount that a dead
//! server or disk holds goes with it. A process that cannot even be killed is left behind; the next target has its turn.

use super::collect::{SELF, Unreadable, in_words};
use super::{CaptureRole, folder, network, ssh, summary};
use crate::blockdev;
use crate::config::{Kind, Raw, Save};
use crate::event::Event;
use crate::init::read_capture_role;
use anyhow::{Context, Result, bail};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process_group};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a disk may take to appear: controllers and their disks come up after their drivers.
const DEVICE_WAIT: Duration = Duration::from_secs(15);
/// How long a killed process may take to go.
const KILL_WAIT: Duration = Duration::from_secs(5);

/// How a try ended.
#[derive(Debug)]
pub enum Outcome {
    /// All that was wanted is there, or all that can be had ([`Saved::unreadable`]).
    Saved(Saved),
    /// It is not.
    Failed {
        /// The failing step and why.
        error: String,
        /// Whether the kernel log is there.
        log_saved: bool,
    },
}

/// What is on a target now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Saved {
    /// From the root of the file system or export, or the device, or the path on the server.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// How long it took.
    pub elapsed_ms: u64,
    /// What the filter says that it did.
    pub filter: Option<serde_json::Value>,
}

impl Saved {
    /// So many bytes, and nothing more to say about them.
    pub fn of(path: String, bytes: u64) -> Self {
        Self {
            path,
            bytes,
            elapsed_ms: 0,
            filter: None,
        }
    }

    /// Tells it; `why` it is incomplete.
    pub fn event(self, why: Option<String>) -> Event {
        let Self {
            path,
            bytes,
            elapsed_ms,
            filter,
        } = self;
        match why {
            None => Event::Dump {
                path,
                bytes,
                elapsed_ms,
                filter,
            },
            Some(why) => Event::IncompleteDump {
                path,
                bytes,
                why,
                filter,
            },
        }
    }

    /// Pages that are missing.
    pub fn unreadable(&self) -> Option<Unreadable> {
        Unreadable::of(self.filter.as_ref())
    }
}

/// What the process says, a JSON object a line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    LogSaved,
    Saved(Saved),
    Failed(String),
}

/// Only /init runs this, in the capture kernel
#[derive(Debug, Args)]
pub struct AttemptArgs {
    /// Number of the target, from 0
    target: usize,
    /// Name of the dump's folder
    stamp: String,
    /// Only leave the summary there
    #[arg(long)]
    summary: bool,
}

/// What a try works with.
pub struct Job<'a> {
    /// All of it; the collector and the name of the machine are there.
    pub role: &'a CaptureRole,
    /// What goes to the target.
    pub save: Save,
    /// Name of the dump's folder.
    pub stamp: &'a str,
    /// Only leave the summary.
    pub summary: bool,
}

impl Job<'_> {
    /// The kernel log is safe: whatever comes, this much is there.
    pub fn log_saved(&self) {
        say(&Line::LogSaved);
    }
}

fn say(line: &Line) {
    if let Ok(text) = serde_json::to_string(line) {
        println!("{text}");
    }
}

/// In the process: the try.
///
/// # Errors
/// Its result goes to standard output; this only says that there was none.
pub fn main(args: &AttemptArgs) -> Result<ExitCode> {
    // The kernel ends this process rather than PID 1 when memory runs out.
    std::fs::write("/proc/self/oom_score_adj", "500").context("setting oom_score_adj")?;
    rustix::process::setsid().context("setsid")?;
    // SAFETY: this process has one thread and shares no memory with others that could see a changed namespace.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.context("making a mount namespace")?;
    let (line, code) = match save(args) {
        Ok(saved) => (Line::Saved(saved), ExitCode::SUCCESS),
        Err(error) => (Line::Failed(format!("{error:#}")), ExitCode::FAILURE),
    };
    say(&line);
    Ok(code)
}

fn save(args: &AttemptArgs) -> Result<Saved> {
    let role = read_capture_role()?;
    let target = role.config.targets.get(args.target).with_context(|| {
        let count = role.config.targets.len();
        format!("target {} of {count}", args.target)
    })?;
    let job = Job {
        role: &role,
        save: target.save,
        stamp: &args.stamp,
        summary: args.summary,
    };
    if target.kind.needs_network() {
        let network = role.config.network.as_ref().context("no [network]")?;
        network::bring_up(network).context("bringing up the network")?;
    }
    match &target.kind {
        Kind::Filesystem(disk) => folder::to_disk(&job, disk, DEVICE_WAIT),
        Kind::Nfs(server) => folder::to_nfs(&job, server),
        Kind::Ssh(server) => ssh::save(&job, server),
        Kind::Raw(device) => to_device(&job, device),
    }
}

/// The dump itself says whether it is complete: its header is written with the mark of an incomplete dump first.
fn to_device(job: &Job, raw: &Raw) -> Result<Saved> {
    let start = Instant::now();
    let path = blockdev::wait_for(&raw.device, DEVICE_WAIT)?;
    if job.summary {
        bail!("a raw device holds a dump and nothing else");
    }
    let device = blockdev::open_raw(&path)?;
    // Whatever goes wrong from here on, an older dump must not look like this one.
    device
        .write_all_at(&[0; 4096], 0)
        .and_then(|()| device.sync_all())
        .with_context(|| format!("erasing the old header on {}", path.display()))?;
    let filter = job.role.collector.collect(&path)?;
    device
        .sync_all()
        .with_context(|| format!("fsync of {}", path.display()))?;
    let bytes = filter.as_ref().and_then(|said| said.get("bytes")?.as_u64());
    Ok(Saved {
        path: path.display().to_string(),
        bytes: bytes.unwrap_or(0),
        elapsed_ms: start.elapsed().as_millis() as u64,
        filter,
    })
}

/// In PID 1: starts the try and waits for its end, at most `deadline`.
pub fn start(target: usize, stamp: &str, summary: bool, deadline: Duration) -> Outcome {
    match watch(target, stamp, summary, deadline) {
        Ok(outcome) => outcome,
        Err(error) => Outcome::Failed {
            error: format!("starting the try: {error:#}"),
            log_saved: false,
        },
    }
}

fn watch(target: usize, stamp: &str, summary: bool, deadline: Duration) -> Result<Outcome> {
    let end = Instant::now() + deadline;
    let mut command = Command::new(SELF);
    command.arg("attempt").arg(target.to_string()).arg(stamp);
    if summary {
        command.arg("--summary");
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = read_lines(child.stdout.take().context("no pipe")?);
    let mut log_saved = false;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let error = match lines.recv_timeout(left) {
            Ok(Line::LogSaved) => {
                log_saved = true;
                continue;
            }
            Ok(Line::Saved(saved)) => {
                end_process(&mut child);
                return Ok(Outcome::Saved(saved));
            }
            Ok(Line::Failed(error)) => {
                end_process(&mut child);
                error
            }
            Err(RecvTimeoutError::Timeout) => {
                let gone = end_process(&mut child).is_some();
                let left = if gone {
                    ""
                } else {
                    " (it cannot be killed and is left behind)"
                };
                format!("not done within {} s{left}", deadline.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => match end_process(&mut child) {
                Some(status) => {
                    format!("the process ended without a result: {}", in_words(status))
                }
                None => "the process cannot be killed".to_owned(),
            },
        };
        return Ok(Outcome::Failed { error, log_saved });
    }
}

/// What is no such line is for the console.
fn read_lines(stdout: impl Read + Send + 'static) -> Receiver<Line> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            match serde_json::from_str(&line) {
                Ok(line) => {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
                Err(_) => eprintln!("{line}"),
            }
        }
    });
    receiver
}

/// Waits a moment for the process, then kills its group. None: it is still there.
fn end_process(child: &mut Child) -> Option<std::process::ExitStatus> {
    let patience = Instant::now() + Duration::from_millis(500);
    let end = Instant::now() + KILL_WAIT;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let mut killed = false;
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            // What it left running.
            if let (Some(pid), false) = (pid, killed) {
                let _ = kill_process_group(pid, Signal::KILL);
            }
            return Some(status);
        }
        if Instant::now() > end {
            return None;
        }
        if Instant::now() > patience && !killed {
            killed = true;
            if let Some(pid) = pid {
                let _ = kill_process_group(pid, Signal::KILL);
            }
            let _ = child.kill();
        }
        sleep(Duration::from_millis(20));
    }
}

/// The summary as PID 1 has left it.
pub fn read_summary() -> Result<Vec<u8>> {
    std::fs::read(summary::PATH).with_context(|| format!("reading {}", summary::PATH))
}

/// fsync by path.
pub fn sync(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .with_context(|| format!("fsync of {}", path.display()))
}

/// fsync of a folder: what was renamed in it is renamed for good.
///
/// Over NFS that is so when the call returns, for a server commits changes of a folder before it answers; and servers
/// refuse to COMMIT a folder.
pub fn sync_folder(path: &Path) -> Result<()> {
    const NFS_SUPER_MAGIC: i64 = 0x6969;
    match rustix::fs::statfs(path) {
        Ok(found) if found.f_type == NFS_SUPER_MAGIC => Ok(()),
        _ => sync(path),
    }
}
