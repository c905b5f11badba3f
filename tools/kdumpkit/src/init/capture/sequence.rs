// SPDX-License-Identifier: GPL-2.0-or-later
//! One target after the other: conditions, retries, what follows a failure.

use super::attempt::{self, Outcome};
use super::summary::{Result as TargetResult, Summary};
use super::{CaptureRole, hooks};
use crate::config::{Action, Target, When};
use crate::estimate::probe;
use crate::event::Event;
use crate::init::report::Reporter;
use crate::init::system;
use std::time::Duration;

/// Between two tries at the same target: a server that boots, a link that flaps.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Goes through the targets; returns how the machine is to end.
pub fn run(role: &CaptureRole, reporter: &mut Reporter) -> Action {
    let mut summary = Summary::new(role);
    let mut ended_by = None;
    for (index, target) in role.config.targets.iter().enumerate() {
        if !has_its_turn(target, index, summary.has_dump()) {
            summary.results.push(TargetResult::skipped(target));
            continue;
        }
        let result = try_target(target, index, &summary.stamp, reporter);
        let failed = !result.saved && result.unreadable.is_none();
        summary.results.push(result);
        if failed && target.failure_action != Action::Next {
            ended_by = Some(target.failure_action);
            break;
        }
    }
    summary.memory = probe::measured();
    leave_summary(&summary, reporter);
    let action = ended_by.unwrap_or(match (summary.has_dump(), role.config.failure_action) {
        (true, _) | (false, Action::Next) => role.config.final_action,
        (false, action) => action,
    });
    hooks::run(&role.config.hooks, "post", &[summary.word()], reporter);
    action
}

fn has_its_turn(target: &Target, index: usize, saved: bool) -> bool {
    match target.when {
        When::Always => true,
        When::Failed => !saved,
        When::Saved => saved && index > 0,
    }
}

fn try_target(target: &Target, index: usize, stamp: &str, reporter: &mut Reporter) -> TargetResult {
    let mut result = TargetResult::new(target);
    let deadline = Duration::from_secs(target.deadline_s);
    for attempt in 0..=target.retries {
        if attempt > 0 {
            std::thread::sleep(RETRY_PAUSE);
        }
        result.tries += 1;
        let started_ms = system::uptime_ms();
        let outcome = attempt::start(index, stamp, false, deadline);
        result.seconds += (system::uptime_ms() - started_ms) as f64 / 1000.0;
        match outcome {
            Outcome::Saved(saved) => {
                result.unreadable = saved.unreadable();
                result.saved = result.unreadable.is_none();
                result.reached = true;
                result.error = result.unreadable.as_ref().map(ToString::to_string);
                result.path = Some(saved.path.clone());
                result.bytes = saved.bytes;
                reporter.send(&saved.event(result.error.clone()));
                return result;
            }
            Outcome::Failed { error, log_saved } => {
                reporter.send(&Event::TargetFailed {
                    target: target.kind.place(),
                    attempt: attempt + 1,
                    error: error.clone(),
                });
                result.reached |= log_saved;
                result.error = Some(error);
            }
        }
    }
    result
}

/// For whoever looks after the next boot: on every target that could be written at all.
fn leave_summary(summary: &Summary, reporter: &mut Reporter) {
    const DEADLINE: Duration = Duration::from_secs(30);
    if let Err(error) = summary.write() {
        reporter.send(&Event::Trouble {
            what: format!("writing the summary: {error:#}"),
        });
        return;
    }
    for (index, result) in summary.results.iter().enumerate() {
        if !result.reached {
            continue;
        }
        if let Outcome::Failed { error, .. } = attempt::start(index, &summary.stamp, true, DEADLINE)
        {
            reporter.send(&Event::Trouble {
                what: format!("leaving the summary on {}: {error}", result.target),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_its_turn_when_each_condition() {
        let mut target = CaptureRole::one_disk("/dev/vda", "ext4", "c", Vec::new())
            .config
            .targets
            .remove(0);
        for (when, before, after) in [
            (When::Failed, true, false),
            (When::Saved, false, true),
            (When::Always, true, true),
        ] {
            target.when = when;
            assert_eq!(has_its_turn(&target, 1, false), before, "{when:?}");
            assert_eq!(has_its_turn(&target, 1, true), after, "{when:?}");
        }
    }
}
