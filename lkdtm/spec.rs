// SPDX-License-Identifier: GPL-2.0

//! What to do at a crash point, as text: `TYPE [count=N] [recur=N] [cpu=N] [pid=N] [comm=NAME] [context=C] [lock=L]`.

use super::filter::Filter;
use super::types::{Lock, RunIn, Type};

/// What to do at a crash point.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// How to crash.
    pub kind: &'static Type,
    /// On which hit, from 1.
    pub count: u32,
    /// Depth of the recursion of OVERFLOW.
    pub recur_count: u32,
    /// Which hits count.
    pub filter: Filter,
    /// Where to move the fault.
    pub run_in: RunIn,
    /// What to hold meanwhile.
    pub lock: Lock,
}

/// What is wrong with a text.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum BadSpec<'a> {
    /// There is no type of this name.
    Type(&'a str),
    /// Not a `KEY=VALUE` with one of the known keys.
    Key(&'a str),
    /// The value does not fit its key; with what would.
    Value {
        /// The key.
        key: &'a str,
        /// What was given.
        value: &'a str,
        /// What may be given.
        valid: &'static str,
    },
}

impl Spec {
    /// The keys of [`Spec::parse`].
    pub const KEYS: &'static str = "count= recur= cpu= pid= comm= context= lock=";

    /// `kind` at the 10th hit, in its own context: LKDTM's default.
    pub const fn new(kind: &'static Type) -> Self {
        Self {
            kind,
            count: 10,
            recur_count: 64,
            filter: Filter {
                cpu: None,
                pid: None,
                comm: None,
            },
            run_in: kind.run_in,
            lock: Lock::None,
        }
    }

    /// Parses `text`; keys that are not in it have the value that `with_defaults` gives for the type.
    ///
    /// # Errors
    ///
    /// The first word that is wrong.
    pub fn parse(
        text: &str,
        with_defaults: impl FnOnce(&'static Type) -> Self,
    ) -> Result<Self, BadSpec<'_>> {
        let mut words = text.split_ascii_whitespace();
        let name = words.next().unwrap_or("");
        let mut spec = with_defaults(Type::find(name).ok_or(BadSpec::Type(name))?);
        for word in words {
            let (key, value) = word.split_once('=').ok_or(BadSpec::Key(word))?;
            spec.set(key, value)?;
        }
        Ok(spec)
    }

    /// Sets one key.
    ///
    /// # Errors
    ///
    /// An unknown key, or a value that does not fit.
    pub fn set<'a>(&mut self, key: &'a str, value: &'a str) -> Result<(), BadSpec<'a>> {
        let bad = |valid| BadSpec::Value { key, value, valid };
        let number = || {
            let n: Option<i32> = value.parse().ok();
            n.filter(|n| *n >= 0 && !value.starts_with('+'))
        };
        match key {
            "count" => self.count = positive(number()).ok_or(bad("a number from 1"))?,
            "recur" => self.recur_count = positive(number()).ok_or(bad("a number from 1"))?,
            "cpu" => {
                let cpu = number().ok_or(bad("a CPU's number"))?;
                self.filter.cpu = Some(cpu.unsigned_abs());
            }
            "pid" => self.filter.pid = Some(number().ok_or(bad("a thread's ID"))?),
            "comm" => {
                let comm = Filter::comm_from(value).ok_or(bad("a task's name, 1 to 15 bytes"))?;
                self.filter.comm = Some(comm);
            }
            "context" => {
                self.run_in = lookup(RunIn::ALL, value)
                    .ok_or(bad("same, irqsoff, softirq, hardirq, nmi or stop_irqsoff"))?;
            }
            "lock" => {
                self.lock = lookup(Lock::ALL, value)
                    .ok_or(bad("none, spinlock, mutex, rcu, console or rtnl"))?;
            }
            _ => return Err(BadSpec::Key(key)),
        }
        Ok(())
    }
}

fn positive(number: Option<i32>) -> Option<u32> {
    number.filter(|n| *n > 0).map(i32::unsigned_abs)
}

/// The value called `name`.
fn lookup<T: Copy>(all: &[(&str, T)], name: &str) -> Option<T> {
    all.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
}
