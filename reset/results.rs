// SPDX-License-Identifier: GPL-2.0

//! dmesg and /sys/kernel/reset_devices (Documentation/ABI/testing/sysfs-kernel-reset_devices).

use crate::plan::Decision;
use crate::report::Line;
use crate::sequence::Outcome;
use crate::topology::Function;
use core::fmt::{self, Write};
use kdump::sysfs::{Blob, Bytes, Dir, File, Show};
use kernel::{prelude::*, str::CString};

/// What the module did.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing: not wanted in this kernel.
    Idle,
    /// Planned only.
    DryRun,
    /// Acted.
    Done,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::DryRun => "dry-run",
            Self::Done => "done",
        }
    }
}

/// The files. They go before their directory.
pub(crate) struct Results {
    _devices: Blob<Table>,
    _dir: Dir<Value>,
}

impl Results {
    /// Publishes that nothing was done.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `EEXIST`.
    pub(crate) fn nothing_done() -> Result<Self> {
        Self::create(State::Idle, Table(KVec::new()), 0)
    }

    /// Says in dmesg and sysfs what became of each function; without `outcomes` what would.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `EEXIST`.
    pub(crate) fn publish(
        state: State,
        functions: &[Function],
        decisions: &[Decision],
        outcomes: Option<&[Outcome]>,
        took_ms: u64,
    ) -> Result<Self> {
        let mut table = Table(KVec::new());
        let mut failed = 0;
        for (index, decision) in decisions.iter().copied().enumerate() {
            let outcome = outcomes.and_then(|o| o.get(index)).copied();
            let begin = table.0.len();
            let line = Line {
                functions,
                index,
                decision,
                outcome,
            };
            writeln!(table, "{line}").map_err(|_| ENOMEM)?;
            // Text went in, so text comes out.
            let text = core::str::from_utf8(&table.0[begin..]).unwrap_or_default();
            if outcome.is_none_or(Outcome::is_good) {
                pr_info!("{text}");
            } else {
                failed += 1;
                pr_warn!("{text}");
            }
        }
        let count = decisions.len();
        match state {
            State::Done => pr_info!("{count} functions in {took_ms} ms, {failed} not good\n"),
            _ => pr_info!("{count} functions planned, nothing done\n"),
        }
        Self::create(state, table, took_ms)
    }

    fn create(state: State, table: Table, took_ms: u64) -> Result<Self> {
        let mut files = KVec::with_capacity(2, GFP_KERNEL)?;
        for (name, value) in [
            (c"state", Value::State(state)),
            (c"milliseconds", Value::Milliseconds(took_ms)),
        ] {
            let name = CString::try_from(name)?;
            files.push(File::new(name, 0o444, value), GFP_KERNEL)?;
        }
        let dir = Dir::under_kernel(c"reset_devices", files)?;
        let size = table.0.len();
        let devices = Blob::create(&dir, c"devices", 0o444, size, table)?;
        Ok(Self {
            _devices: devices,
            _dir: dir,
        })
    }
}

enum Value {
    State(State),
    Milliseconds(u64),
}

impl Show for Value {
    fn show(&self, out: &mut dyn Write) -> Result {
        match self {
            Self::State(state) => writeln!(out, "{}", state.name()),
            Self::Milliseconds(ms) => writeln!(out, "{ms}"),
        }
        .map_err(|_| EIO)
    }
}

/// The text of `devices`.
struct Table(KVec<u8>);

impl Write for Table {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0
            .extend_from_slice(text.as_bytes(), GFP_KERNEL)
            .map_err(|_| fmt::Error)
    }
}

impl Bytes for Table {
    fn bytes(&self) -> Result<&[u8]> {
        Ok(&self.0)
    }
}
