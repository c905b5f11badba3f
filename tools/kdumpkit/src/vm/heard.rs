// SPDX-License-Identifier: GPL-2.0-or-later
//! A whole run of a guest, as its events tell it.

use super::{End, Machine};
use crate::event::Event;
use anyhow::{Result, bail, ensure};

/// What a guest said, and how it ended.
#[derive(Debug)]
pub struct Heard {
    /// In their order.
    pub events: Vec<Event>,
    /// How it ended.
    pub end: End,
}

impl Machine<'_> {
    /// Runs the guest to its end.
    ///
    /// # Errors
    /// As [`Machine::run`].
    pub fn listen(&self) -> Result<Heard> {
        let mut events = Vec::new();
        let end = self.run(&mut |event| events.push(event.clone()))?;
        Ok(Heard { events, end })
    }
}

impl Heard {
    /// Output of the last script.
    ///
    /// # Errors
    /// The guest did not end by itself, a step failed, or the script ended with another status than 0.
    pub fn script(&self) -> Result<&str> {
        let (mut said, mut failed) = (None, None);
        for event in &self.events {
            match event {
                Event::Script { output, status } => said = Some((output, *status)),
                Event::Failed { error, .. } => failed = Some(error),
                _ => {}
            }
        }
        ensure!(
            self.end == End::Off,
            "the guest did not end by itself: {:?}, {said:?} {failed:?}",
            self.end
        );
        match (said, failed) {
            (Some((text, 0)), None) => Ok(text),
            (Some((text, status)), _) => {
                bail!("the script ended with status {status}, {failed:?}:\n{text}")
            }
            (None, failed) => bail!("no script came to its end: {failed:?}"),
        }
    }

    /// The dump that was announced, with what the filter said.
    #[must_use]
    pub fn dump(&self) -> Option<(&str, Option<&serde_json::Value>)> {
        self.events.iter().find_map(|event| match event {
            Event::Dump { path, filter, .. } => Some((path.as_str(), filter.as_ref())),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(statuses: &[i32], end: End) -> Heard {
        let script = |status: &i32| Event::Script {
            status: *status,
            output: format!("said {status}"),
        };
        Heard {
            events: statuses.iter().map(script).collect(),
            end,
        }
    }

    #[test]
    fn script_when_the_last_one_is_good_is_its_output() {
        assert_eq!(heard(&[1, 0], End::Off).script().unwrap(), "said 0");
    }

    #[test]
    fn script_when_it_failed_or_the_guest_was_lost_is_an_error() {
        let words = |heard: Heard| heard.script().unwrap_err().to_string();
        assert!(words(heard(&[0, 3], End::Off)).contains("status 3"));
        assert!(words(heard(&[], End::Off)).contains("no script"));
        let lost = End::Lost("deadline".into());
        assert!(words(heard(&[0], lost)).contains("deadline"));
    }
}
