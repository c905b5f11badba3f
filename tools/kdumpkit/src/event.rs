// SPDX-License-Identifier: GPL-2.0-or-later
//! What happens in a guest, as typed events: one JSON object a line on the virtio-serial port.
//!
//! The same events feed the progress display, the verdict and the tests.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Name of the virtio-serial port that carries the events.
pub const PORT_NAME: &str = "org.kdumpkit.events";

/// Which of the two kernels speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The kernel that is going to crash.
    First,
    /// The kernel that writes the dump.
    Capture,
}

/// One step of a guest's life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// /init runs.
    Boot {
        /// Which kernel.
        stage: Stage,
        /// `uname -r`.
        release: String,
        /// Milliseconds since that kernel's start.
        uptime_ms: u64,
    },
    /// The capture kernel is loaded; a crash from now on is captured.
    CaptureLoaded {
        /// Memory reserved for it.
        reserved_bytes: u64,
    },
    /// A script given to the guest has ended.
    Script {
        /// Its exit status; 128 + signal when a signal ended it.
        status: i32,
        /// Its standard output and error.
        output: String,
    },
    /// `modprobe lkdtm` is about to run with these parameters.
    Arming {
        /// `cpoint_name=… cpoint_type=…`
        parameters: Vec<String>,
    },
    /// The crash point is armed.
    Armed {
        /// lkdtm's own words, from its log line.
        log: String,
    },
    /// `modprobe lkdtm` failed.
    ArmFailed {
        /// modprobe's exit status.
        status: i32,
        /// modprobe's words and lkdtm's log lines.
        log: String,
    },
    /// The load ran for its whole time and nothing crashed.
    NoCrash {
        /// How long, in seconds.
        waited_s: u64,
    },
    /// The first kernel's console shows that it went down (seen from outside).
    Crash {
        /// The first telling line.
        line: String,
    },
    /// The dump is complete under its final name.
    Dump {
        /// Path on the target's file system.
        path: String,
        /// Size of the file.
        bytes: u64,
        /// Time from opening /proc/vmcore to the rename.
        elapsed_ms: u64,
        /// What the filter says that it did (`filter --json`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filter: Option<serde_json::Value>,
    },
    /// A dump is on the target that has all that could be read, but not all: it is marked incomplete and named so.
    IncompleteDump {
        /// Path on the target's file system.
        path: String,
        /// Size of the file.
        bytes: u64,
        /// What is missing.
        why: String,
        /// What the filter says that it did (`filter --json`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filter: Option<serde_json::Value>,
    },
    /// A try at a target failed; others may follow.
    TargetFailed {
        /// Type and place.
        target: String,
        /// Which try, from 1.
        attempt: u32,
        /// The failing step and why.
        error: String,
    },
    /// Something that does not stop the capture.
    Trouble {
        /// What.
        what: String,
    },
    /// How the capture kernel is going to end.
    Action {
        /// From the configuration.
        action: crate::config::Action,
    },
    /// A step failed.
    Failed {
        /// Which kernel.
        stage: Stage,
        /// The whole chain of causes.
        error: String,
    },
    /// /init has done its work and ends the machine.
    Bye {
        /// Which kernel.
        stage: Stage,
    },
}

/// For people: a word that says which event it is, and what matters of it.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

impl Event {
    fn describe(&self) -> String {
        match self {
            Self::Boot {
                stage: Stage::First,
                release,
                ..
            } => format!("boot       {release}"),
            Self::Boot {
                stage: Stage::Capture,
                uptime_ms,
                ..
            } => format!("capture    kernel is up after {uptime_ms} ms"),
            Self::CaptureLoaded { reserved_bytes } => format!(
                "loaded     capture kernel, {} MiB reserved",
                reserved_bytes >> 20
            ),
            Self::Script { status, .. } => format!("script     ended with {status}"),
            Self::Arming { parameters } => {
                format!("arming     modprobe lkdtm {}", parameters.join(" "))
            }
            Self::Armed { log } => format!("armed      {log}"),
            Self::ArmFailed { log, .. } => format!("not armed  {log}"),
            Self::NoCrash { waited_s } => format!("no crash   within {waited_s} s"),
            Self::Crash { line } => format!("crash      {line}"),
            Self::Dump {
                path,
                bytes,
                elapsed_ms,
                ..
            } => format!("dump       {path}, {bytes} bytes in {elapsed_ms} ms"),
            Self::IncompleteDump {
                path, bytes, why, ..
            } => {
                format!("incomplete {path}, {bytes} bytes: {why}")
            }
            Self::TargetFailed {
                target,
                attempt,
                error,
            } => format!("target     {target}, try {attempt}: {error}"),
            Self::Trouble { what } => format!("trouble    {what}"),
            Self::Action { action } => format!("action     {action:?}"),
            Self::Failed { error, .. } => format!("failed     {error}"),
            Self::Bye {
                stage: Stage::First,
            } => "end        of the first kernel".to_owned(),
            Self::Bye {
                stage: Stage::Capture,
            } => "end        of the capture kernel".to_owned(),
        }
    }
}

/// Lines by which a dying kernel is recognised on its console.
const CRASH_MARKS: [&str; 5] = [
    "Kernel panic - not syncing",
    "BUG: ",
    "Oops: ",
    "kernel BUG at",
    "Insufficient stack space",
];

/// The event in a console line of the first kernel, if it says that the kernel goes down.
#[must_use]
pub fn crash_in(line: &str) -> Option<Event> {
    let start = CRASH_MARKS
        .iter()
        .filter_map(|mark| line.find(mark))
        .min()?;
    Some(Event::Crash {
        line: line[start..].trim_end().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crash_in_when_panic_line_drops_the_time_stamp() {
        let event = crash_in("[    3.123456] Kernel panic - not syncing: dumptest\r").unwrap();
        assert_eq!(
            event,
            Event::Crash {
                line: "Kernel panic - not syncing: dumptest".into()
            }
        );
    }

    #[test]
    fn crash_in_when_ordinary_line_is_none() {
        assert_eq!(crash_in("[    0.5] Kernel command line: panic=1"), None);
    }

    #[test]
    fn event_when_sent_as_json_comes_back_the_same() {
        let event = Event::Dump {
            path: "a/vmcore".into(),
            bytes: 7,
            elapsed_ms: 3,
            filter: None,
        };
        let line = serde_json::to_string(&event).unwrap();
        assert!(line.starts_with(r#"{"event":"dump""#), "{line}");
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
    }
}
