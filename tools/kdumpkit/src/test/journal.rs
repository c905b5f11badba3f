// SPDX-License-Identifier: GPL-2.0-or-later
//! A run on disk: what is to be done and what has been done, so that a run can be ended at any point and taken up again.
//!
//! ```text
//! RUN/plan.json          the cells, written once before the first of them starts
//! RUN/results/ID.json    a cell's report, renamed into place when it is complete
//! RUN/ID/                a cell that runs, or one that did not pass
//! RUN/lock               held while a runner works on it
//! ```

use super::report::Report;
use super::scenario::Scenario;
use crate::atomic;
use anyhow::{Context, Result, ensure};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

const PLAN: &str = "plan.json";
const RESULTS: &str = "results";
const LOCK: &str = "lock";

/// One scenario on one kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Unique within a run, and a file name.
    pub id: String,
    /// Kernel release.
    pub kernel: String,
    /// What to do.
    pub scenario: Scenario,
}

/// What a run is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// In the order in which they are run.
    pub cells: Vec<Cell>,
    /// When it was begun (RFC 3339).
    pub begun: jiff::Timestamp,
    /// What was asked for, for people: suites, filters.
    pub title: String,
}

/// A run's folder, locked.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    plan: Plan,
    _lock: File,
}

impl Journal {
    /// Begins a run in `folder`.
    ///
    /// # Errors
    /// The folder cannot be written, has a run already, or another runner works on it.
    pub fn begin(folder: &Path, plan: Plan) -> Result<Self> {
        let results = folder.join(RESULTS);
        fs::create_dir_all(&results).with_context(|| format!("creating {}", results.display()))?;
        let lock = lock(folder)?;
        let path = folder.join(PLAN);
        ensure!(!path.exists(), "{} holds a run already", folder.display());
        atomic::write(&path, &serde_json::to_vec_pretty(&plan)?)?;
        Ok(Self {
            folder: folder.canonicalize()?,
            plan,
            _lock: lock,
        })
    }

    /// Takes up the run in `folder`.
    ///
    /// # Errors
    /// There is none, or another runner works on it.
    pub fn resume(folder: &Path) -> Result<Self> {
        let lock = lock(folder)?;
        let plan = read_plan(folder)?;
        Ok(Self {
            folder: folder.canonicalize()?,
            plan,
            _lock: lock,
        })
    }

    /// Removes the journal, and the folder if no cell has left anything in it.
    pub fn forget(self) {
        let _ = fs::remove_dir_all(self.folder.join(RESULTS));
        for name in [PLAN, LOCK] {
            let _ = fs::remove_file(self.folder.join(name));
        }
        let _ = fs::remove_dir(&self.folder);
    }

    /// What the run is to do.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Cells without a report.
    ///
    /// # Errors
    /// The results cannot be read.
    pub fn pending(&self) -> Result<Vec<Cell>> {
        let done = read_results(&self.folder)?;
        let open = |cell: &&Cell| !done.contains_key(&cell.id);
        Ok(self.plan.cells.iter().filter(open).cloned().collect())
    }

    /// Makes a report durable. From here on its cell is never run again.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn record(&self, report: &Report) -> Result<()> {
        let path = self
            .folder
            .join(RESULTS)
            .join(format!("{}.json", report.id));
        atomic::write(&path, &serde_json::to_vec_pretty(report)?)
    }

    /// The reports so far, in the plan's order.
    ///
    /// # Errors
    /// The results cannot be read.
    pub fn reports(&self) -> Result<Vec<Report>> {
        reports(&self.folder)
    }
}

/// Whether every cell of the run has a report; false as well when there is no run.
#[must_use]
pub fn is_finished(folder: &Path) -> bool {
    let done = read_results(folder).unwrap_or_default();
    read_plan(folder).is_ok_and(|plan| plan.cells.iter().all(|c| done.contains_key(&c.id)))
}

/// Reads a run's plan.
///
/// # Errors
/// There is none, or it is of another version.
pub fn read_plan(folder: &Path) -> Result<Plan> {
    let path = folder.join(PLAN);
    let text =
        fs::read(&path).with_context(|| format!("reading the run's plan {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| {
        format!(
            "understanding {}: was it written by another version? Begin a new run",
            path.display()
        )
    })
}

/// Reads a run's reports without locking it, in the plan's order.
///
/// # Errors
/// There is no run, or a file of it is not understood.
pub fn reports(folder: &Path) -> Result<Vec<Report>> {
    let mut done = read_results(folder)?;
    let plan = read_plan(folder)?;
    Ok(plan
        .cells
        .iter()
        .filter_map(|cell| done.remove(&cell.id))
        .collect())
}

fn read_results(folder: &Path) -> Result<BTreeMap<String, Report>> {
    let folder = folder.join(RESULTS);
    let mut done = BTreeMap::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        // What was being written when a runner was killed still has its other name.
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let report: Report = serde_json::from_slice(&text)
            .with_context(|| format!("understanding the report {}", path.display()))?;
        done.insert(report.id.clone(), report);
    }
    Ok(done)
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .with_context(|| format!("{} is being worked on by another runner", folder.display()))?;
    Ok(file)
}
