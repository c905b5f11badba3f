// SPDX-License-Identifier: GPL-2.0-or-later
//! From scenario files to scenarios: points x types, environment, rules, and what lkdtm's tables say of the outcome.

use super::file::{Entry, Environment, Expectation, Rule, ScenarioFile};
use super::filter::matches;
use crate::init::Load;
use crate::test::args::CollectorName;
use crate::test::report::Outcome;
use crate::test::scenario::{Device, Expect, Lkdtm, Scenario, Trigger, plain_name};
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use modlogic::lkdtm::points::{ANY, Contexts, HARDIRQ, NMI, POINTS, Point, SOFTIRQ, TASK};
use modlogic::lkdtm::types::{Needs, TYPES, Type};
use std::collections::BTreeMap;

const CRASHKERNEL: &str = "256M";
const DEADLINE_S: u64 = 300;
const SILENCE_S: u64 = 150;

/// Contexts by name, as lkdtm's tables and the verdict know them.
const CONTEXTS: [(Contexts, &str); 4] = [
    (TASK, "task"),
    (SOFTIRQ, "softirq"),
    (HARDIRQ, "hardirq"),
    (NMI, "nmi"),
];

impl ScenarioFile {
    /// All scenarios for `release`. The same name twice is one scenario in more suites.
    ///
    /// # Errors
    /// An entry names a device, a collector, a context, a pattern of points or types that does not exist.
    pub fn scenarios(&self, release: &str) -> Result<Vec<Scenario>> {
        let mut all: Vec<Scenario> = Vec::new();
        for entry in &self.scenario {
            for scenario in self.expand(entry, release)? {
                match all.iter_mut().find(|s| s.name == scenario.name) {
                    None => all.push(scenario),
                    Some(same) => merge(same, scenario)?,
                }
            }
        }
        Ok(all)
    }

    /// The scenarios of one entry.
    ///
    /// # Errors
    /// As [`ScenarioFile::scenarios`].
    pub fn expand(&self, entry: &Entry, release: &str) -> Result<Vec<Scenario>> {
        let named = || {
            entry
                .name
                .clone()
                .unwrap_or_else(|| format!("points {:?}", entry.points))
        };
        let pairs = pairs(entry).with_context(|| format!("scenario {}", named()))?;
        ensure!(
            entry.name.is_none() || pairs.len() == 1,
            "scenario {} stands for {} scenarios: only one may have a name",
            named(),
            pairs.len()
        );
        pairs
            .into_iter()
            .map(|pair| self.resolve(entry, pair, release))
            .collect::<Result<_>>()
            .with_context(|| format!("scenario {}", named()))
    }

    fn resolve(
        &self,
        entry: &Entry,
        pair: Option<(String, String)>,
        release: &str,
    ) -> Result<Scenario> {
        let lkdtm = pair.map(|(point, crash_type)| Lkdtm {
            point,
            crash_type,
            count: entry.count,
            recur: entry.recur,
            cpu: entry.cpu,
            context: entry.context.clone(),
            lock: entry.lock.clone(),
        });
        let name = match (&entry.name, &lkdtm) {
            (Some(name), _) => name.clone(),
            (None, Some(l)) => format!("{}-{}", l.point, l.crash_type),
            (None, None) => bail!("neither points and types nor a name"),
        };
        let trigger = Trigger {
            script: entry.script.clone(),
            nmi_after_s: entry.nmi_after_s,
            lkdtm,
        };
        ensure!(
            trigger != Trigger::default(),
            "nothing makes it crash: give points and types, script or nmi_after_s"
        );
        let environment = self.environment(trigger.lkdtm.as_ref());
        let devices = self.devices(&environment, entry)?;
        let mut scenario = Scenario {
            name: plain_name(&name),
            suites: entry.suites.clone(),
            sysctls: Vec::new(),
            loads: entry.loads.clone().unwrap_or(environment.loads),
            modules: devices.iter().flat_map(|d| d.modules.clone()).collect(),
            devices,
            crashkernel: entry
                .crashkernel
                .clone()
                .unwrap_or_else(|| CRASHKERNEL.to_owned()),
            collector: collector(entry.collector.as_deref())?,
            deadline_s: entry.deadline_s.unwrap_or(DEADLINE_S),
            silence_s: entry.silence_s.unwrap_or(SILENCE_S),
            sabotage: entry.sabotage,
            expect: Expect::default(),
            skip: None,
            reasons: Vec::new(),
            trigger,
        };
        let mut expect = entry.expect.clone();
        for rule in &self.rule {
            if rule.holds(&scenario, release) {
                rule.apply(&mut scenario, &mut expect);
            }
        }
        scenario.sysctls = sysctls(&scenario.trigger, &entry.sysctls);
        scenario.expect = expectation(scenario.trigger.lkdtm.as_ref(), expect)?;
        Ok(scenario)
    }

    /// A script or an NMI needs no load.
    fn environment(&self, lkdtm: Option<&Lkdtm>) -> Environment {
        let Some(lkdtm) = lkdtm else {
            return Environment::default();
        };
        // An alias needs what its point needs.
        let point = Point::find(&lkdtm.point).map_or(lkdtm.point.as_str(), |p| p.name);
        let fits = |e: &&Environment| e.points.iter().any(|p| matches(p, point));
        self.environment
            .iter()
            .rfind(fits)
            .cloned()
            .unwrap_or_default()
    }

    fn devices(&self, environment: &Environment, entry: &Entry) -> Result<Vec<Device>> {
        let mut names: Vec<&String> = environment.devices.iter().chain(&entry.devices).collect();
        names.sort();
        names.dedup();
        names
            .into_iter()
            .map(|name| {
                let known = || {
                    self.device
                        .iter()
                        .map(|d| d.name.as_str())
                        .collect::<Vec<_>>()
                        .join(", ")
                };
                let found = self.device.iter().find(|d| d.name == *name).cloned();
                found.with_context(|| format!("no device is called {name}; there are: {}", known()))
            })
            .collect()
    }
}

/// None: no crash point at all.
fn pairs(entry: &Entry) -> Result<Vec<Option<(String, String)>>> {
    if entry.points.is_empty() && entry.types.is_empty() {
        return Ok(vec![None]);
    }
    ensure!(
        !entry.points.is_empty() && !entry.types.is_empty(),
        "points and types are given together or not at all"
    );
    let points = names(
        &entry.points,
        &POINTS.iter().map(|p| p.name).collect::<Vec<_>>(),
    )?;
    let types = names(
        &entry.types,
        &TYPES.iter().map(|t| t.name).collect::<Vec<_>>(),
    )?;
    let mut pairs = Vec::new();
    for point in &points {
        for crash_type in &types {
            let sleeps = Type::find(crash_type).is_some_and(|t| t.direct_only);
            let direct = Point::find(point).is_none_or(Point::is_direct);
            if direct || !sleeps {
                pairs.push(Some((point.clone(), crash_type.clone())));
            }
        }
    }
    Ok(pairs)
}

/// Patterns are looked up in the table; other names are taken as they are, for lkdtm to judge.
fn names(wanted: &[String], table: &[&str]) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for pattern in wanted {
        if !pattern.contains('*') {
            names.push(pattern.clone());
            continue;
        }
        let before = names.len();
        names.extend(
            table
                .iter()
                .filter(|n| matches(pattern, n))
                .map(|n| (*n).to_owned()),
        );
        ensure!(
            names.len() > before,
            "{pattern} matches none of: {}",
            table.join(", ")
        );
    }
    Ok(names)
}

/// Those without which this does not crash, and the entry's own, which win.
fn sysctls(trigger: &Trigger, own: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let needs = trigger
        .lkdtm
        .as_ref()
        .and_then(|l| Type::find(&l.crash_type))
        .map_or(Needs::Nothing, |t| t.needs);
    let mut all: BTreeMap<String, String> = needs
        .sysctls()
        .iter()
        .map(|path| (path.replace('/', "."), "1".to_owned()))
        .collect();
    let more = match needs {
        // Twice this until a soft lockup is reported.
        Needs::Watchdog => Some(("kernel.watchdog_thresh", "5")),
        Needs::HungTaskPanic => Some(("kernel.hung_task_timeout_secs", "5")),
        _ => None,
    };
    let nmi = trigger
        .nmi_after_s
        .map(|_| ("kernel.unknown_nmi_panic", "1"));
    let more = more.into_iter().chain(nmi);
    all.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
    all.extend(own.clone());
    all.into_iter().collect()
}

fn collector(name: Option<&str>) -> Result<crate::init::Collector> {
    let Some(name) = name else {
        return Ok(CollectorName::Kdumpkit.collector());
    };
    CollectorName::from_str(name, false)
        .map(CollectorName::collector)
        .ok()
        .with_context(|| format!("collector is {name}; valid are kdumpkit, makedumpfile, elf"))
}

/// What is given, and for the rest what lkdtm's tables say.
fn expectation(lkdtm: Option<&Lkdtm>, given: Expectation) -> Result<Expect> {
    let point = lkdtm.and_then(|l| Point::find(&l.point));
    let crash_type = lkdtm.and_then(|l| Type::find(&l.crash_type));
    let elsewhere = crash_type.is_some_and(Type::crashes_elsewhere)
        || lkdtm
            .and_then(|l| l.context.as_deref())
            .is_some_and(|c| c != "same");
    let at_point = point.map_or(ANY, |p| p.contexts);
    let contexts = crash_type.map_or(at_point, |t| t.crash_contexts(at_point));
    let names = |set: Contexts| -> Vec<String> {
        let within = CONTEXTS.iter().filter(|(bit, _)| set & bit != 0);
        within.map(|(_, name)| (*name).to_owned()).collect()
    };
    let own_stack = given.stack.is_some();
    let stack = given.stack.unwrap_or_else(|| match (lkdtm, point) {
        (None, _) => Vec::new(),
        _ if elsewhere => Vec::new(),
        // A direct crash has no probe: there it is modprobe's system call that must be on the stack.
        (_, Some(point)) if point.is_direct() => vec!["do_one_initcall".to_owned()],
        _ => vec!["$symbol".to_owned()],
    });
    let contexts = given.contexts.unwrap_or_else(|| names(contexts));
    for context in &contexts {
        ensure!(
            CONTEXTS.iter().any(|(_, name)| name == context),
            "context {context}; valid are task, softirq, hardirq, nmi"
        );
    }
    Ok(Expect {
        cause: given.cause.unwrap_or_else(|| {
            crash_type.map_or_else(Vec::new, |t| {
                t.expect.iter().map(|e| (*e).to_owned()).collect()
            })
        }),
        contexts,
        cpu: given
            .cpu
            .or(lkdtm.and_then(|l| l.cpu).filter(|_| !elsewhere)),
        stack,
        fires: elsewhere && !own_stack,
        outcome: given.outcome.unwrap_or(Outcome::Pass),
        reason: given.reason,
    })
}

fn merge(same: &mut Scenario, other: Scenario) -> Result<()> {
    let suites = other.suites.clone();
    ensure!(
        Scenario {
            suites: same.suites.clone(),
            ..other
        } == *same,
        "two different scenarios are called {}: give one of them another name",
        same.name
    );
    same.suites.extend(suites);
    same.suites.dedup();
    Ok(())
}

impl Rule {
    fn holds(&self, scenario: &Scenario, release: &str) -> bool {
        let one_of = |patterns: &[String], name: &str| {
            patterns.is_empty() || patterns.iter().any(|p| matches(p, name))
        };
        scenario.trigger.lkdtm.as_ref().is_some_and(|l| {
            let point = Point::find(&l.point).map_or(l.point.as_str(), |p| p.name);
            let crash_type = Type::find(&l.crash_type).map_or(l.crash_type.as_str(), |t| t.name);
            one_of(&self.points, point) && one_of(&self.types, crash_type)
        }) && (self.kernels.is_empty()
            || self.kernels.iter().any(|k| release.starts_with(k.as_str())))
    }

    fn apply(&self, scenario: &mut Scenario, expect: &mut Expectation) {
        if self.skip {
            scenario.skip = Some(self.reason.clone());
            return;
        }
        if let Some(lkdtm) = &mut scenario.trigger.lkdtm {
            lkdtm.cpu = lkdtm.cpu.or(self.cpu);
            lkdtm.count = lkdtm.count.or(self.count);
        }
        let trigger = &mut scenario.trigger;
        trigger.nmi_after_s = self.nmi_after_s.or(trigger.nmi_after_s);
        scenario.loads.extend(self.loads.iter().cloned());
        scenario.deadline_s = self.deadline_s.unwrap_or(scenario.deadline_s);
        if expect.contexts.is_none() {
            expect.contexts.clone_from(&self.contexts);
        }
        scenario.reasons.push(self.reason.clone());
    }
}

/// Loads that only a guest may have, because they destroy a device's contents.
#[must_use]
pub fn destroys_data(load: &Load) -> bool {
    !matches!(load, Load::Timer | Load::Rcu)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<ScenarioFile> {
        let mut file = ScenarioFile::built_in().unwrap();
        file.scenario.clear();
        file.add("test.toml", text)?;
        Ok(file)
    }

    fn scenarios(text: &str) -> Result<Vec<Scenario>> {
        file(text)?.scenarios("7.3.4+deb13-amd64")
    }

    fn error(text: &str) -> String {
        format!("{:#}", scenarios(text).unwrap_err())
    }

    #[test]
    fn full_suite_when_resolved_is_every_point_with_the_talks_types_and_the_kernels_own_crashes() {
        let all = ScenarioFile::built_in()
            .unwrap()
            .scenarios("7.3.4")
            .unwrap();
        let full: Vec<&str> = all
            .iter()
            .filter(|s| s.suites.iter().any(|suite| suite == "full"))
            .map(|s| s.name.as_str())
            .collect();
        for point in POINTS {
            for crash_type in ["PANIC", "BUG", "EXCEPTION", "LOOP", "OVERFLOW"] {
                let name = format!("{}-{crash_type}", point.name);
                assert!(full.contains(&name.as_str()), "{name}");
            }
        }
        for name in [
            "sysrq-c",
            "nmi",
            "hard-lockup-nmi",
            "hung-task",
            "oom-panic",
        ] {
            assert!(full.contains(&name), "{name}");
        }
    }

    #[test]
    fn generator_when_type_needs_a_sleeping_task_leaves_probes_out() {
        let text = r#"scenario = [{ points = ["DIRECT", "TIMERADD"], types = ["HUNG_TASK"] }]"#;
        let names: Vec<String> = scenarios(text)
            .unwrap()
            .into_iter()
            .map(|s| s.name)
            .collect();
        assert_eq!(names, ["DIRECT-HUNG_TASK"]);
    }

    #[test]
    fn rule_when_it_matches_sets_the_cpu_and_says_why() {
        let text = r#"scenario = [{ points = ["hrtimer_start"], types = ["EXHAUST_STACK"] }]"#;
        let scenario = &scenarios(text).unwrap()[0];
        let lkdtm = scenario.trigger.lkdtm.as_ref().unwrap();
        assert_eq!(lkdtm.cpu, Some(1), "also under their other names");
        assert_eq!(scenario.expect.cpu, Some(1));
        assert!(scenario.reasons[0].contains("init_stack"));
    }

    #[test]
    fn rule_with_an_nmi_makes_the_kernel_panic_on_it() {
        let text = r#"scenario = [{ points = ["TIMERADD"], types = ["LOOP", "PANIC"] }]"#;
        let of = |name: &str| {
            let all = scenarios(text).unwrap();
            all.into_iter().find(|s| s.name == name).unwrap()
        };
        let panics = ("kernel.unknown_nmi_panic".to_owned(), "1".to_owned());
        assert!(of("TIMERADD-LOOP").trigger.nmi_after_s.is_some());
        assert!(of("TIMERADD-LOOP").sysctls.contains(&panics));
        assert_eq!(of("TIMERADD-PANIC").trigger.nmi_after_s, None);
        assert!(!of("TIMERADD-PANIC").sysctls.contains(&panics));
    }

    #[test]
    fn rule_when_for_another_kernel_does_not_hold() {
        let text = r#"
            scenario = [{ points = ["FS_DEVRW"], types = ["PANIC"] }]
            rule = [{ points = ["FS_DEVRW"], kernels = ["7.2"], skip = true, reason = "why" }]"#;
        let file = file(text).unwrap();
        assert_eq!(file.scenarios("7.3.4").unwrap()[0].skip, None);
        assert_eq!(
            file.scenarios("7.2.12").unwrap()[0].skip.as_deref(),
            Some("why")
        );
    }

    #[test]
    fn devices_when_the_point_needs_them_bring_their_modules() {
        let text =
            r#"scenario = [{ points = ["SCSI_QUEUE_RQ"], types = ["PANIC"], devices = ["nvme"] }]"#;
        let scenario = &scenarios(text).unwrap()[0];
        assert_eq!(scenario.modules, ["nvme", "virtio_scsi", "sd_mod"]);
    }

    #[test]
    fn errors_when_something_is_wrong_name_it_and_what_is_valid() {
        for (text, words) in [
            (
                r#"scenario = [{ points = ["DIRECT"], types = ["PANIC"], devices = ["floppy"] }]"#,
                "there are: scsi, nvme",
            ),
            (
                r#"scenario = [{ points = ["X*"], types = ["PANIC"] }]"#,
                "X* matches none of: DIRECT, ",
            ),
            (
                r#"scenario = [{ points = ["DIRECT"] }]"#,
                "points and types are given together",
            ),
            (
                r#"scenario = [{ name = "nothing" }]"#,
                "nothing makes it crash",
            ),
            (
                r#"scenario = [{ points = ["DIRECT"], types = ["PANIC"], colector = "elf" }]"#,
                "unknown field `colector`",
            ),
            (
                r#"scenario = [{ points = ["DIRECT"], types = ["PANIC"], collector = "dd" }]"#,
                "valid are kdumpkit, makedumpfile, elf",
            ),
            (
                r#"scenario = [{ name = "x", points = ["DIRECT"], types = ["*"] }]"#,
                "only one may have a name",
            ),
            (
                r#"rule = [{ points = ["DIRECT"], skip = true }]"#,
                "has no reason",
            ),
            (
                r#"scenario = [{ points = ["DIRECT"], types = ["PANIC"] }, { points = ["DIRECT"], types = ["PANIC"], cpu = 1 }]"#,
                "two different scenarios are called DIRECT-PANIC",
            ),
            (
                r#"scenario = [{ points = ["DIRECT"], types = ["PANIC"], expect = { contexts = ["irq"] } }]"#,
                "valid are task, softirq, hardirq, nmi",
            ),
        ] {
            let error = error(text);
            assert!(error.contains(words), "{text}\n{error}");
        }
    }
}
