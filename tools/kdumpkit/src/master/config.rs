// SPDX-License-Identifier: GPL-2.0-or-later
//! /etc/kdumpkit/master.toml.

use super::needs_a_guest;
use crate::init::Load;
use crate::matrix;
use crate::matrix::file::ScenarioFile;
use crate::test::scenario::Scenario;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// Where the configuration is.
pub const PATH: &str = "/etc/kdumpkit/master.toml";

/// How the matrix is run on this machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MasterConfig {
    /// Suites of tests/scenarios.
    pub suites: Vec<String>,
    /// Folder with scenario files of one's own, instead of those that this program was built with.
    pub scenarios: Option<PathBuf>,
    /// State, journal and reports; everything in it is the master's.
    pub state: PathBuf,
    /// Folder below which the capture kernel puts dumps.
    pub dumps: PathBuf,
    /// Shell command that loads the capture kernel, at every boot.
    pub load: String,
    /// Watchdog device; empty: none, and a hang waits for a person.
    pub watchdog: String,
    /// Module that brings the watchdog device; loaded when the device is not there.
    pub watchdog_module: Option<String>,
    /// From arming to the end of the dump; then the watchdog resets the machine.
    pub watchdog_s: u32,
    /// Power cuts and the like that one scenario may meet before it counts as lost.
    pub attempts: u32,
    /// How long to wait for a crash, in seconds.
    pub wait_s: u64,
    /// Free space that must be left for a dump.
    pub min_free_mib: u64,
    /// Shell command when all is done.
    pub at_end: Option<String>,
}

impl Default for MasterConfig {
    fn default() -> Self {
        Self {
            suites: vec!["bare-metal".to_owned()],
            scenarios: None,
            state: "/var/lib/kdumpkit/master".into(),
            dumps: "/var/crash".into(),
            load: "kdumpkit load".to_owned(),
            watchdog: "/dev/watchdog".to_owned(),
            watchdog_module: None,
            watchdog_s: 300,
            attempts: 3,
            wait_s: 120,
            min_free_mib: 1024,
            at_end: None,
        }
    }
}

impl MasterConfig {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// It is not there or not understood; line and valid keys are named.
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("reading {}: scripts/setup makes it", path.display()))?;
        toml::from_str(&text).with_context(|| format!("understanding {}", path.display()))
    }

    /// The journal of the run.
    #[must_use]
    pub fn run_folder(&self) -> PathBuf {
        self.state.join("run")
    }

    /// Scratch file for the load.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.state.join("scratch")
    }

    /// The scenarios of the suites, fit for this machine: what needs QEMU is skipped, load goes to a file of our own.
    ///
    /// # Errors
    /// The scenario files are not understood.
    pub fn scenarios(&self, release: &str) -> Result<Vec<Scenario>> {
        let files = match &self.scenarios {
            Some(folder) => ScenarioFile::read_folder(folder)?,
            None => ScenarioFile::built_in()?,
        };
        let mut all = files.scenarios(release)?;
        all.retain(|s| {
            s.suites
                .iter()
                .any(|suite| self.suites.iter().any(|w| matrix::matches(w, suite)))
        });
        for scenario in &mut all {
            if let Some(reason) = needs_a_guest(scenario) {
                scenario.skip.get_or_insert_with(|| reason.to_owned());
            }
            scenario.loads = scenario
                .loads
                .iter()
                .filter_map(|load| self.harmless(load))
                .collect();
        }
        Ok(all)
    }

    /// The same load without a device whose contents it would destroy.
    fn harmless(&self, load: &Load) -> Option<Load> {
        let device = self.scratch().display().to_string();
        match load {
            Load::Block { .. } => Some(Load::Block { device }),
            Load::Buffered { .. } => Some(Load::Buffered { device }),
            other if matrix::destroys_data(other) => None,
            other => Some(other.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_when_on_a_real_machine_touch_no_device() {
        let all = MasterConfig {
            suites: vec!["*".into()],
            ..MasterConfig::default()
        }
        .scenarios("7.3.4")
        .unwrap();
        for scenario in &all {
            let loads = format!("{:?}", scenario.loads);
            assert!(!loads.contains("/dev/"), "{}: {loads}", scenario.name);
        }
        let nmi = all.iter().find(|s| s.name == "nmi").unwrap();
        assert_eq!(nmi.skip.as_deref(), Some("the NMI comes from QEMU"));
    }

    #[test]
    fn bare_metal_suite_when_default_has_a_dozen_crashes_and_a_hang() {
        let all = MasterConfig::default().scenarios("7.3.4").unwrap();
        let run: Vec<_> = all.iter().filter(|s| s.skip.is_none()).collect();
        assert!(run.len() >= 13, "{}", run.len());
        assert!(run.iter().any(|s| s.name == "hang"));
    }
}
