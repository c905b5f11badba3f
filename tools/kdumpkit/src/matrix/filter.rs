// SPDX-License-Identifier: GPL-2.0-or-later
//! `--filter`: which scenarios are meant.

use crate::test::scenario::Scenario;
use anyhow::{Result, ensure};
use std::fmt;
use std::str::FromStr;

const KEYS: [&str; 6] = ["name", "point", "type", "suite", "device", "skip"];

/// `KEY=PATTERN[,PATTERN…]`, or a pattern alone for the name. `*` stands for any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    key: String,
    patterns: Vec<String>,
}

impl FromStr for Filter {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (key, patterns) = text.split_once('=').unwrap_or(("name", text));
        ensure!(
            KEYS.contains(&key),
            "{key} in the filter {text:?}; valid keys are {}",
            KEYS.join(", ")
        );
        Ok(Self {
            key: key.to_owned(),
            patterns: patterns.split(',').map(str::to_owned).collect(),
        })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.patterns.join(","))
    }
}

impl Filter {
    /// Whether the scenario is meant.
    #[must_use]
    pub fn takes(&self, scenario: &Scenario) -> bool {
        let hit = |text: &str| self.patterns.iter().any(|p| matches(p, text));
        match self.key.as_str() {
            "point" => hit(scenario.point()),
            "type" => hit(scenario.crash_type()),
            "suite" => scenario.suites.iter().any(|s| hit(s)),
            "device" => scenario.devices.iter().any(|d| hit(&d.name)),
            "skip" => hit(if scenario.skip.is_some() { "yes" } else { "no" }),
            _ => hit(&scenario.name),
        }
    }
}

/// Whether `text` is `pattern`, in which `*` stands for any text.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(head) else {
        return false;
    };
    (0..=text.len())
        .filter(|at| text.is_char_boundary(*at))
        .any(|at| matches(rest, &text[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_when_stars_stand_for_any_text() {
        for (pattern, text, expected) in [
            ("INT_*", "INT_HW_IRQ_EN", true),
            ("INT_*", "FS_DEVRW", false),
            ("*_EN*", "INT_HW_IRQ_EN", true),
            ("*", "", true),
            ("PANIC", "PANIC_IN_NMI", false),
            ("", "PANIC", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn filter_when_key_unknown_lists_the_valid_ones() {
        let error = "colour=red".parse::<Filter>().unwrap_err().to_string();
        assert!(error.contains("point, type, suite"), "{error}");
    }
}
