// SPDX-License-Identifier: GPL-2.0-or-later
//! Scenario files: what may be written in tests/scenarios/*.toml.

use crate::init::Load;
use crate::test::report::Outcome;
use crate::test::scenario::{Device, Sabotage};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The files of the source tree, for machines that have none (bare metal).
const BUILT_IN: [(&str, &str); 5] = [
    (
        "environment.toml",
        include_str!("../../../../tests/scenarios/environment.toml"),
    ),
    (
        "lkdtm.toml",
        include_str!("../../../../tests/scenarios/lkdtm.toml"),
    ),
    (
        "kernel.toml",
        include_str!("../../../../tests/scenarios/kernel.toml"),
    ),
    (
        "bare-metal.toml",
        include_str!("../../../../tests/scenarios/bare-metal.toml"),
    ),
    (
        "must-fail.toml",
        include_str!("../../../../tests/scenarios/must-fail.toml"),
    ),
];

/// One file, or all of a folder together.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScenarioFile {
    /// Scenarios, and generators of scenarios.
    pub scenario: Vec<Entry>,
    /// Hardware that scenarios can ask for.
    pub device: Vec<Device>,
    /// What crash points need in order to fire; the last one that matches holds.
    pub environment: Vec<Environment>,
    /// Known exceptions, in order.
    pub rule: Vec<Rule>,
}

/// A scenario, or with several points or types as many.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Entry {
    /// Its name; POINT-TYPE otherwise. Only for a single scenario.
    pub name: Option<String>,
    /// Suites it belongs to.
    pub suites: Vec<String>,
    /// lkdtm's crash points; `*` stands for any text, `"*"` for all points of the table.
    pub points: Vec<String>,
    /// lkdtm's crash types, likewise.
    pub types: Vec<String>,
    /// cpoint_count
    pub count: Option<u32>,
    /// recur_count
    pub recur: Option<u32>,
    /// cpoint_cpu
    pub cpu: Option<u32>,
    /// cpoint_context
    pub context: Option<String>,
    /// cpoint_lock
    pub lock: Option<String>,
    /// Script for the guest's shell, after the capture kernel is loaded.
    pub script: Option<String>,
    /// Seconds from the last preparation to an NMI.
    pub nmi_after_s: Option<u64>,
    /// sysctls beyond those that the type needs.
    pub sysctls: BTreeMap<String, String>,
    /// Load, instead of the environment's.
    pub loads: Option<Vec<Load>>,
    /// Names of devices, beyond the environment's.
    pub devices: Vec<String>,
    /// `crashkernel=`
    pub crashkernel: Option<String>,
    /// What writes the dump: kdumpkit, makedumpfile, elf.
    pub collector: Option<String>,
    /// A cycle that takes longer is lost.
    pub deadline_s: Option<u64>,
    /// So is one that says nothing for so long.
    pub silence_s: Option<u64>,
    /// Break it on purpose.
    pub sabotage: Option<Sabotage>,
    /// Expectations, instead of what lkdtm's tables say.
    pub expect: Expectation,
}

/// Expectations that are given; the others follow from lkdtm's tables.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expectation {
    /// Texts of which the log holds one.
    pub cause: Option<Vec<String>>,
    /// task, softirq, hardirq, nmi.
    pub contexts: Option<Vec<String>>,
    /// The CPU that crashes.
    pub cpu: Option<u32>,
    /// Functions on its stack.
    pub stack: Option<Vec<String>>,
    /// pass, fail, lost.
    pub outcome: Option<Outcome>,
    /// A text in the reason of a fail or lost.
    pub reason: Option<String>,
}

/// What a crash point needs in order to fire.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Environment {
    /// The points.
    pub points: Vec<String>,
    /// Load.
    pub loads: Vec<Load>,
    /// Names of devices.
    pub devices: Vec<String>,
}

/// A known exception.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// Points it holds for; all without it.
    pub points: Vec<String>,
    /// Types it holds for; all without it.
    pub types: Vec<String>,
    /// Kernels it holds for, as release prefixes; all without it.
    pub kernels: Vec<String>,
    /// Do not run it.
    pub skip: bool,
    /// cpoint_cpu
    pub cpu: Option<u32>,
    /// cpoint_count
    pub count: Option<u32>,
    /// Longer or shorter than others.
    pub deadline_s: Option<u64>,
    /// More load.
    pub loads: Vec<Load>,
    /// An NMI from outside, so long after the guest's last preparation, ends what nothing in the machine notices.
    pub nmi_after_s: Option<u64>,
    /// Contexts that will do as well.
    pub contexts: Option<Vec<String>>,
    /// Why. Required.
    pub reason: String,
}

impl ScenarioFile {
    /// All `*.toml` files of a folder, in the order of their names.
    ///
    /// # Errors
    /// The folder cannot be read or has no such file; a file is not understood (file, line and valid keys are named).
    pub fn read_folder(folder: &Path) -> Result<Self> {
        let entries = std::fs::read_dir(folder)
            .with_context(|| format!("reading the scenario folder {}", folder.display()))?;
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|e| e == "toml"));
        paths.sort();
        ensure!(
            !paths.is_empty(),
            "no *.toml scenario file in {}",
            folder.display()
        );
        let mut all = Self::default();
        for path in paths {
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("reading {}", path.display()))?;
            all.add(&path.display().to_string(), &text)?;
        }
        Ok(all)
    }

    /// The files that this binary was built with.
    ///
    /// # Errors
    /// Never, as far as the tests can tell.
    pub fn built_in() -> Result<Self> {
        let mut all = Self::default();
        for (name, text) in BUILT_IN {
            all.add(name, text)?;
        }
        Ok(all)
    }

    /// Adds the contents of one file.
    ///
    /// # Errors
    /// It is not understood, or a rule has no reason.
    pub fn add(&mut self, name: &str, text: &str) -> Result<()> {
        let file: Self = toml::from_str(text).with_context(|| format!("understanding {name}"))?;
        for rule in &file.rule {
            ensure!(
                !rule.reason.trim().is_empty(),
                "{name}: a rule for points {:?} and types {:?} has no reason: every exception says why",
                rule.points,
                rule.types
            );
        }
        self.scenario.extend(file.scenario);
        self.device.extend(file.device);
        self.environment.extend(file.environment);
        self.rule.extend(file.rule);
        Ok(())
    }
}
