// SPDX-License-Identifier: GPL-2.0-or-later
//! A runner that is killed at any point and started again: no cell is lost, none that has a report is run again.
//!
//! The runner is this test program itself, started as a process of its own and ended with SIGKILL; the journal and the
//! queue are the real ones, only the guests are replaced by a line in a file.

use kdumpkit::matrix::file::{Entry, ScenarioFile};
use kdumpkit::test::journal::{self, Cell, Journal, Plan};
use kdumpkit::test::progress::{Line, Progress};
use kdumpkit::test::report::{Outcome, Report};
use kdumpkit::test::runner::{self, Execute, Options};
use kdumpkit::test::verdict;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const RUN: &str = "KDUMPKIT_TEST_RUN";
const CELLS: usize = 60;
const DEADLINE: Duration = Duration::from_secs(120);

/// Notes in `log` that a cell begins, and takes a few milliseconds.
struct Scribe {
    log: PathBuf,
}

impl Execute for Scribe {
    fn execute(&self, cell: &Cell, folder: &Path, _: &Line) -> Report {
        let mut log = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.log)
            .unwrap();
        assert_eq!(
            fs::read_dir(folder).unwrap().count(),
            0,
            "the folder is empty"
        );
        File::create(folder.join("console.log")).unwrap();
        // One write: lines of a killed process are whole or not there.
        log.write_all(format!("{}\n", cell.id).as_bytes()).unwrap();
        sleep(Duration::from_millis(3));
        let mut report = verdict::blank(&cell.scenario, &cell.id, &cell.kernel);
        report.outcome = if cell.id.len() % 2 == 0 {
            Outcome::Pass
        } else {
            Outcome::Lost
        };
        report
    }

    fn tidy(&self, _: &Cell, _: &Path) {}
}

fn plan() -> Plan {
    let entry = Entry {
        points: vec!["DIRECT".into()],
        types: vec!["PANIC".into()],
        ..Entry::default()
    };
    let scenarios = ScenarioFile::built_in()
        .unwrap()
        .expand(&entry, "7.3")
        .unwrap();
    let cell = |n: usize| Cell {
        id: format!("cell-{n}"),
        kernel: "7.3".into(),
        scenario: scenarios[0].clone(),
    };
    Plan {
        cells: (0..CELLS).map(cell).collect(),
        begun: "2026-01-01T00:00:00Z".parse().unwrap(),
        title: String::new(),
    }
}

/// Not a test: what the process to be killed does.
#[test]
#[ignore = "the other half of runner_when_killed_at_any_point_loses_and_repeats_nothing"]
fn runner_process() {
    let Some(run) = std::env::var_os(RUN).map(PathBuf::from) else {
        return;
    };
    let journal = if run.join("plan.json").exists() {
        Journal::resume(&run)
    } else {
        Journal::begin(&run, plan())
    };
    let options = Options {
        jobs: 3,
        keep: false,
    };
    let scribe = Scribe {
        log: run.join("started"),
    };
    runner::run(
        &scribe,
        &journal.unwrap(),
        options,
        &Progress::default(),
        &|_| {},
    )
    .unwrap();
}

fn start(run: &Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "runner_process"])
        .env(RUN, run)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Reports by cell, and how often each cell was begun.
fn state(run: &Path) -> (BTreeMap<String, Report>, BTreeMap<String, usize>) {
    let reports = journal::reports(run).unwrap_or_default();
    let mut begun = BTreeMap::new();
    for id in fs::read_to_string(run.join("started"))
        .unwrap_or_default()
        .lines()
    {
        *begun.entry(id.to_owned()).or_insert(0) += 1;
    }
    (
        reports.into_iter().map(|r| (r.id.clone(), r)).collect(),
        begun,
    )
}

#[test]
fn runner_when_killed_at_any_point_loses_and_repeats_nothing() {
    let run = std::env::temp_dir().join(format!("kdumpkit-kill-{}", std::process::id()));
    fs::create_dir_all(&run).unwrap();
    let (start_time, mut kills) = (Instant::now(), 0_u64);
    loop {
        assert!(
            start_time.elapsed() < DEADLINE,
            "not finished after {kills} kills"
        );
        let (reports_before, begun_before) = state(&run);
        let mut child = start(&run);
        // From before the plan is written to the middle of the work; no two at the same point.
        sleep(Duration::from_micros(500 + kills * 7_919 % 60_000));
        child.kill().unwrap();
        let ended_by_itself = child.wait().unwrap().success();
        let (reports, begun) = state(&run);
        for (id, report) in &reports_before {
            assert_eq!(
                reports.get(id),
                Some(report),
                "a report that was there is still there"
            );
            assert_eq!(
                begun.get(id),
                begun_before.get(id),
                "{id} has a report and was run again"
            );
        }
        if ended_by_itself && reports.len() == CELLS {
            break;
        }
        kills += 1;
    }
    let (reports, _) = state(&run);
    assert_eq!(reports.len(), CELLS);
    for (id, report) in &reports {
        assert_eq!(report.folder.is_some(), report.outcome == Outcome::Lost);
        assert_eq!(
            run.join(id).exists(),
            report.outcome == Outcome::Lost,
            "{id}"
        );
    }
    assert!(kills >= 5, "only {kills} kills: that shows nothing");
    fs::remove_dir_all(&run).unwrap();
}

#[test]
fn journal_when_another_runner_has_it_refuses() {
    let run = std::env::temp_dir().join(format!("kdumpkit-lock-{}", std::process::id()));
    let first = Journal::begin(&run, plan()).unwrap();
    let error = format!("{:#}", Journal::resume(&run).unwrap_err());
    assert!(error.contains("another runner"), "{error}");
    drop(first);
    assert_eq!(
        Journal::resume(&run).unwrap().pending().unwrap().len(),
        CELLS
    );
    fs::remove_dir_all(&run).unwrap();
}
