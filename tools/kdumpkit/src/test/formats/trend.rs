// SPDX-License-Identifier: GPL-2.0-or-later
//! A run beside the runs before it.

use crate::test::journal;
use crate::test::report::{Outcome, Report};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// So many runs are looked at.
const MAX_RUNS: usize = 12;

/// What earlier runs, those in the same folder, came to.
#[derive(Debug, Serialize)]
pub struct Trend {
    /// The earlier runs, oldest first, and this one.
    pub runs: Vec<Past>,
    /// Scenarios whose outcome is another than the last time.
    pub changes: Vec<Change>,
}

/// One run.
#[derive(Debug, Serialize)]
pub struct Past {
    begun: String,
    title: String,
    total: usize,
    counts: Vec<(Outcome, usize)>,
    median_crash_to_dump_s: Option<String>,
    this: bool,
}

/// One scenario that changed.
#[derive(Debug, Serialize)]
pub struct Change {
    id: String,
    before: Outcome,
    now: Outcome,
}

impl Trend {
    /// Compares `reports` of `run` with the runs beside it. None when there are no others.
    #[must_use]
    pub fn of(run: &Path, reports: &[Report]) -> Option<Self> {
        let run = run.canonicalize().ok()?;
        let mut others: Vec<PathBuf> = fs::read_dir(run.parent()?)
            .ok()?
            .flatten()
            .map(|e| e.path())
            .collect();
        others.retain(|path| *path != run);
        let begun = |path: &Path| {
            journal::read_plan(path)
                .map(|plan| (plan.begun, plan.title))
                .ok()
        };
        let this = begun(&run)?;
        let mut past: Vec<_> = others
            .iter()
            .filter_map(|path| Some((begun(path)?, journal::reports(path).ok()?)))
            .filter(|(plan, reports)| {
                plan.0 < this.0 && shares_scenarios(reports, &this.1, &plan.1)
            })
            .collect();
        past.sort_by_key(|(plan, _)| plan.0);
        let past = past.split_off(past.len().saturating_sub(MAX_RUNS));
        let last: BTreeMap<&str, Outcome> = past
            .iter()
            .flat_map(|(_, reports)| reports)
            .map(|r| (r.id.as_str(), r.outcome))
            .collect();
        let changes = reports
            .iter()
            .filter_map(|r| {
                let before = *last.get(r.id.as_str())?;
                (before != r.outcome).then(|| Change {
                    id: r.id.clone(),
                    before,
                    now: r.outcome,
                })
            })
            .collect();
        let mut runs: Vec<Past> = past
            .iter()
            .map(|(plan, reports)| Past::new(plan.0, &plan.1, reports, false))
            .collect();
        if runs.is_empty() {
            return None;
        }
        runs.push(Past::new(this.0, &this.1, reports, true));
        Some(Self { runs, changes })
    }
}

/// Runs of something else say nothing about this one.
fn shares_scenarios(reports: &[Report], title: &str, other_title: &str) -> bool {
    !reports.is_empty() && title == other_title
}

impl Past {
    fn new(begun: jiff::Timestamp, title: &str, reports: &[Report], this: bool) -> Self {
        let mut times: Vec<u64> = reports.iter().filter_map(|r| r.crash_to_dump_ms).collect();
        times.sort_unstable();
        let count = |outcome| reports.iter().filter(|r| r.outcome == outcome).count();
        Self {
            begun: begun.strftime("%Y-%m-%d %H:%M").to_string(),
            title: title.to_owned(),
            total: reports.len(),
            counts: Outcome::ALL.map(|o| (o, count(o))).to_vec(),
            median_crash_to_dump_s: times
                .get(times.len() / 2)
                .map(|ms| format!("{:.1}", *ms as f64 / 1000.0)),
            this,
        }
    }
}
