// SPDX-License-Identifier: GPL-2.0-or-later
//! After a boot: what became of the scenario that was to crash the machine?

use super::config::MasterConfig;
use super::state::{Crashing, State, Store, boot_id};
use super::{say, watchdog};
use crate::test::journal::{Cell, Journal};
use crate::test::report::Outcome;
use crate::test::verdict;
use anyhow::Result;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How deep below the dump folder dumps are looked for: HOST-DATE/vmcore and the like.
const DEPTH: u32 = 3;

/// What a boot without a dump means.
#[derive(Debug, PartialEq, Eq)]
enum Gone {
    /// The watchdog ended it.
    Hung,
    /// It ended for no reason that is known: power, a person, a reset without a dump.
    Interrupted,
}

/// Judges the crash before this boot, if there was one, and records it. An interrupted scenario is left to be run again.
pub(super) fn last_crash(config: &MasterConfig, store: &Store, journal: &Journal) -> Result<()> {
    let state = store.read()?;
    let Some(crash) = &state.crashing else {
        return Ok(());
    };
    let pending = journal.pending()?;
    // Recorded before the power went, or of another run.
    let Some(cell) = pending.iter().find(|cell| cell.id == crash.cell) else {
        return store.write(&State {
            crashing: None,
            ..state
        });
    };
    if crash.boot_id == boot_id() {
        // The master was started twice in one boot.
        no_crash(store, journal, cell)?;
        return Ok(());
    }
    let dump = dumps(&config.dumps)
        .into_iter()
        .find(|dump| !crash.dumps_before.contains(dump));
    let mut report = verdict::blank(&cell.scenario, &cell.id, &cell.kernel);
    report.seconds = elapsed(crash).as_secs_f64();
    let came_to = match dump {
        Some(dump) => {
            report.folder = dump.parent().map(Path::to_owned);
            let bytes = dump.metadata().map_or(0, |m| m.len());
            match verdict::judge_dump(&cell.scenario, &dump, bytes, &mut report) {
                Ok(()) => (Outcome::Pass, None),
                Err((outcome, reason)) => (outcome, Some(reason)),
            }
        }
        None => {
            let gone = what_ended_it(
                watchdog::ended_last_boot(),
                elapsed(crash),
                config.watchdog_s,
            );
            if gone == Gone::Interrupted && crash.attempt < config.attempts {
                say(&format!(
                    "{} was interrupted before a dump was written; it is run again",
                    cell.id
                ));
                // The attempt stays written down, so that the next one counts on.
                return Ok(());
            }
            (Outcome::Lost, Some(words(&gone, crash, config)))
        }
    };
    (report.outcome, report.reason) = verdict::as_it_must(&cell.scenario, came_to);
    journal.record(&report)?;
    say(&format!("{}: {}", cell.id, report.outcome));
    store.write(&State {
        crashing: None,
        ..state
    })
}

/// The machine is still alive although it should have crashed.
pub(super) fn no_crash(store: &Store, journal: &Journal, cell: &Cell) -> Result<()> {
    let mut report = verdict::blank(&cell.scenario, &cell.id, &cell.kernel);
    let reason = "the machine did not crash".to_owned();
    (report.outcome, report.reason) =
        verdict::as_it_must(&cell.scenario, (Outcome::Fail, Some(reason)));
    journal.record(&report)?;
    say(&format!("{}: {}", cell.id, report.outcome));
    store.write(&State {
        crashing: None,
        ..store.read()?
    })
}

fn elapsed(crash: &Crashing) -> Duration {
    let past = jiff::Timestamp::now().duration_since(crash.at);
    Duration::try_from(past).unwrap_or_default()
}

fn what_ended_it(by_watchdog: bool, elapsed: Duration, watchdog_s: u32) -> Gone {
    // Not every watchdog says afterwards that it was the one.
    if by_watchdog || elapsed >= Duration::from_secs(watchdog_s.into()) {
        Gone::Hung
    } else {
        Gone::Interrupted
    }
}

fn words(gone: &Gone, crash: &Crashing, config: &MasterConfig) -> String {
    match gone {
        Gone::Hung => format!(
            "hung: the watchdog reset the machine, {} s after arming at the latest",
            config.watchdog_s
        ),
        Gone::Interrupted => format!("interrupted {} times without a dump", crash.attempt),
    }
}

/// Complete dumps below `folder`.
pub(super) fn dumps(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(folder, DEPTH, &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, depth: u32, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() && depth > 0 {
            collect(&path, depth - 1, found);
        } else if kind.is_file() && entry.file_name() == "vmcore" {
            found.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_it_when_the_watchdog_says_so_or_its_time_is_over_is_a_hang() {
        let after = |by_watchdog, s| what_ended_it(by_watchdog, Duration::from_secs(s), 300);
        assert_eq!(after(true, 20), Gone::Hung);
        assert_eq!(after(false, 301), Gone::Hung);
        assert_eq!(after(false, 60), Gone::Interrupted);
    }

    #[test]
    fn dumps_when_some_are_incomplete_are_the_complete_ones() {
        let folder = std::env::temp_dir().join(format!("kdumpkit-dumps-{}", std::process::id()));
        for name in ["vmcore", "a/vmcore", "b/vmcore-incomplete", "c/d/vmcore"] {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let found: Vec<_> = dumps(&folder)
            .iter()
            .map(|p| p.strip_prefix(&folder).unwrap().to_owned())
            .collect();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(
            found,
            [
                Path::new("a/vmcore"),
                Path::new("c/d/vmcore"),
                Path::new("vmcore")
            ]
        );
    }
}
