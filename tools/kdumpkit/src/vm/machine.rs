// SPDX-License-Identifier: GPL-2.0-or-later
//! One QEMU guest from start to end.

use super::console::Tail;
use super::{Accel, qmp};
use crate::event::{self, Event, PORT_NAME, Stage};
use crate::tree::Tree;
use anyhow::{Context, Result};
use rustix::process::Signal;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// Every kernel of a guest. On a busy machine it finds QEMU's timer interrupts missing at boot, and panics, without
/// no_timer_check.
const CMDLINE: &str = "console=ttyS0 quiet panic=1 no_timer_check";

/// The command line of a guest's capture kernel, with `more` of its own.
#[must_use]
pub fn capture_cmdline(more: &str) -> String {
    // One CPU is enough for a dump; irqpoll: the device that interrupted last may have no driver any more.
    format!("{CMDLINE} nr_cpus=1 irqpoll reset_devices {more}")
}

/// The console's file inside a machine's folder.
pub const CONSOLE: &str = "console.log";
const COMMAND: &str = "qemu.cmd";
const QEMU_ERRORS: &str = "qemu.stderr";
/// A guest whose console is still empty after this long hangs before the kernel's first words.
const FIRST_WORDS: Duration = Duration::from_secs(60);
/// How often such a guest is started: seen with one in some hundred under TCG on a busy machine; QEMU's own assertions fail
/// less often. Neither says anything about what is tested, because nothing of it has run yet.
const STARTS: u32 = 3;
/// QMP socket, for an NMI or a look inside.
pub const QMP: &str = "qmp.sock";

/// A guest's hardware and what it boots.
#[derive(Debug)]
pub struct Machine<'a> {
    tree: &'a Tree,
    accel: Accel,
    kernel: PathBuf,
    initramfs: PathBuf,
    /// Console, command line and QEMU's messages go here; relative paths in `devices` start here.
    pub folder: PathBuf,
    /// Kernel command line beyond the console.
    pub cmdline: String,
    /// RAM.
    pub memory_mib: u32,
    /// Number of CPUs.
    pub cpus: u32,
    /// Raw images that appear as /dev/vda, /dev/vdb, …
    pub disks: Vec<PathBuf>,
    /// More QEMU arguments.
    pub devices: Vec<String>,
    /// The whole run must end within this.
    pub deadline: Duration,
    /// The longest time without an event.
    pub silence: Duration,
    /// Inject an NMI so long after the guest's last preparation: capture kernel loaded, script run, lkdtm being armed.
    pub nmi_after: Option<Duration>,
}

/// What came of starting QEMU once.
enum Started {
    /// The guest ran, and this is how it ended.
    Ended(End),
    /// Nothing ran in it, for this reason.
    Nothing(String),
}

/// Why the watch over a guest was given up.
enum Missed {
    /// Neither an event nor a byte on the console.
    FirstWords,
    /// Which deadline, and what was heard last.
    Deadline(String),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The guest powered off, or reset with -no-reboot.
    Off,
    /// A deadline passed and QEMU was killed. The text says which, and what was heard last.
    Lost(String),
    /// QEMU itself failed; its words.
    Broken(String),
}

impl<'a> Machine<'a> {
    /// A q35 guest with 2 CPUs and 1 GiB.
    #[must_use]
    pub fn new(
        tree: &'a Tree,
        accel: Accel,
        kernel: PathBuf,
        initramfs: PathBuf,
        folder: PathBuf,
    ) -> Self {
        Self {
            tree,
            accel,
            kernel,
            initramfs,
            folder,
            cmdline: String::new(),
            memory_mib: 1024,
            cpus: 2,
            disks: Vec::new(),
            devices: Vec::new(),
            deadline: Duration::from_secs(180),
            silence: Duration::from_secs(90),
            nmi_after: None,
        }
    }

    /// Runs the guest to its end and hands every event to `on_event`. QEMU is started again, which is said as
    /// [`Event::Trouble`], when nothing ran in the guest: it hung before its kernel's first words, or QEMU aborted before the
    /// first event.
    ///
    /// # Errors
    /// QEMU cannot be started or the folder cannot be written; how the guest fares is in [`End`].
    pub fn run(&self, on_event: &mut dyn FnMut(&Event)) -> Result<End> {
        let mut starts = 1;
        loop {
            match self.start(on_event)? {
                Started::Ended(end) => return Ok(end),
                Started::Nothing(why) if starts == STARTS => {
                    return Ok(End::Lost(format!("{why}, in the last of {STARTS} starts")));
                }
                Started::Nothing(why) => on_event(&Event::Trouble {
                    what: format!("{why}, starting QEMU again"),
                }),
            }
            starts += 1;
        }
    }

    fn start(&self, on_event: &mut dyn FnMut(&Event)) -> Result<Started> {
        let mut command = self.command();
        fs::write(self.folder.join(COMMAND), format!("{command:?}\n"))
            .with_context(|| format!("writing to {}", self.folder.display()))?;
        let errors = fs::File::create(self.folder.join(QEMU_ERRORS))?;
        die_with_parent(&mut command);
        // The event port is QEMU's standard input and output; at the end of its input QEMU would close the port.
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .context("starting QEMU")?;
        let events = read_events(child.stdout.take().context("QEMU has no standard output")?);
        let mut heard = false;
        let missed = self.watch(&events, &mut |event| {
            heard = true;
            on_event(event);
        });
        if missed.is_some() {
            child.kill().context("ending QEMU")?;
        }
        let status = child.wait()?;
        let words = || fs::read_to_string(self.folder.join(QEMU_ERRORS)).unwrap_or_default();
        let broken = || format!("QEMU ended with {status}: {}", words().trim());
        Ok(match missed {
            Some(Missed::FirstWords) => Started::Nothing(format!(
                "nothing on the console in {} s",
                FIRST_WORDS.as_secs()
            )),
            Some(Missed::Deadline(which)) => Started::Ended(End::Lost(which)),
            None if status.success() => Started::Ended(End::Off),
            None if !heard && status.signal() == Some(Signal::ABORT.as_raw()) => {
                Started::Nothing(broken())
            }
            None => Started::Ended(End::Broken(broken())),
        })
    }

    fn is_console_empty(&self) -> bool {
        fs::metadata(self.folder.join(CONSOLE)).is_ok_and(|console| console.len() == 0)
    }

    /// Whether under TCG the CPUs take turns on one thread of the host. VT-d's switches change the memory map all the time: with a
    /// thread for each CPU, QEMU from 10.0.4 on (commit 2865bf1c5795 of QEMU) now and then looks an access of one CPU up in the
    /// map that another has just made, and aborts in iotlb_to_section().
    fn takes_turns(&self) -> bool {
        let mut devices = self.devices.iter();
        devices.any(|argument| argument.split(',').next() == Some("intel-iommu"))
    }

    fn command(&self) -> Command {
        let mut command = self.tree.in_buildroot("qemu-system-x86_64");
        command.current_dir(&self.folder);
        command
            .args(["-M", "q35", "-no-reboot", "-nodefaults", "-display", "none"])
            .args(self.accel.arguments(self.takes_turns()));
        command
            .arg("-m")
            .arg(self.memory_mib.to_string())
            .arg("-smp")
            .arg(self.cpus.to_string());
        command
            .arg("-kernel")
            .arg(&self.kernel)
            .arg("-initrd")
            .arg(&self.initramfs);
        command
            .arg("-append")
            .arg(format!("{CMDLINE} {}", self.cmdline));
        command.arg("-serial").arg(format!("file:{CONSOLE}"));
        command
            .arg("-qmp")
            .arg(format!("unix:{QMP},server=on,wait=off"));
        command.args([
            "-chardev",
            "stdio,id=events,signal=off",
            "-device",
            "virtio-serial-pci",
        ]);
        command
            .arg("-device")
            .arg(format!("virtserialport,chardev=events,name={PORT_NAME}"));
        for disk in &self.disks {
            // The image is a scratch file of this run; the guest's own flushes are what is tested, not the host's.
            command.arg("-drive").arg(format!(
                "file={},if=virtio,format=raw,cache=unsafe",
                disk.display()
            ));
        }
        command.args(&self.devices);
        command
    }

    /// Hears events until the guest ends (None) or a deadline passes (what was missed).
    fn watch(&self, events: &Receiver<Event>, on_event: &mut dyn FnMut(&Event)) -> Option<Missed> {
        let start = Instant::now();
        let mut came_up = false;
        let mut last = (start, "its start".to_owned());
        let mut console = Tail::new(self.folder.join(CONSOLE));
        let mut first_kernel_alive = true;
        let mut nmi_at = None;
        loop {
            let heard = match events.recv_timeout(Duration::from_millis(50)) {
                Ok(event) => Some(event),
                Err(RecvTimeoutError::Timeout) if first_kernel_alive => {
                    console.lines().iter().find_map(|l| event::crash_in(l))
                }
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return None,
            };
            if nmi_at.is_some_and(|at| Instant::now() >= at) {
                nmi_at = None;
                if let Err(error) = qmp::inject_nmi(&self.folder) {
                    let why = format!("no NMI could be injected: {error:#}");
                    return Some(Missed::Deadline(why));
                }
            }
            if let Some(event) = heard {
                came_up = true;
                if is_preparation(&event) {
                    nmi_at = self.nmi_after.map(|after| Instant::now() + after);
                }
                if is_capture(&event) {
                    nmi_at = None;
                }
                if is_capture(&event) || matches!(event, Event::Crash { .. }) {
                    first_kernel_alive = false;
                }
                last = (Instant::now(), format!("{event:?}"));
                on_event(&event);
            }
            if !came_up && start.elapsed() > FIRST_WORDS && self.is_console_empty() {
                return Some(Missed::FirstWords);
            }
            let missed = if last.0.elapsed() > self.silence {
                let silence = self.silence.as_secs();
                format!("nothing heard for {silence} s after {}", last.1)
            } else if start.elapsed() > self.deadline {
                let deadline = self.deadline.as_secs();
                format!("not done after {deadline} s; last heard: {}", last.1)
            } else {
                continue;
            };
            return Some(Missed::Deadline(missed));
        }
    }
}

fn is_preparation(event: &Event) -> bool {
    matches!(
        event,
        Event::CaptureLoaded { .. } | Event::Script { .. } | Event::Arming { .. }
    )
}

/// Has the capture kernel taken over?
fn is_capture(event: &Event) -> bool {
    matches!(
        event,
        Event::Boot {
            stage: Stage::Capture,
            ..
        }
    )
}

/// QEMU must not outlive a runner that is killed: it would go on using cores, memory and the scenario's folder.
fn die_with_parent(command: &mut Command) {
    let set = || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(std::io::Error::from)
    };
    // SAFETY: the closure runs between fork and exec in the child; it makes one system call, prctl(2), and neither
    // allocates nor takes a lock.
    unsafe { command.pre_exec(set) };
}

fn read_events(stdout: impl Read + Send + 'static) -> Receiver<Event> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            // A guest's memory may be broken in any way: what is no event is not heard.
            if let Ok(event) = serde_json::from_slice(&line) {
                if sender.send(event).is_err() {
                    return;
                }
            }
        }
    });
    receiver
}
