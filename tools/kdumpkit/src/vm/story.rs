// SPDX-License-Identifier: GPL-2.0-or-later
//! What a console tells after the fact: how far the two kernels came. Hostile input: a dying kernel writes anything.

use crate::event::{self, Event, Stage};
use std::fmt;

/// /init repeats its events on the console after this.
const EVENT: &str = "kdumpkit init: {";
/// No line of a console that is quoted anywhere is longer.
const MAX_LINE: usize = 200;

/// The story of one console.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Story {
    /// The first sign of a crash in the first kernel.
    pub crash: Option<String>,
    /// `Kernel panic - not syncing: …`, the last one before the capture kernel.
    pub panic: Option<String>,
    /// Functions of the call trace of the last crash message, innermost first.
    pub trace: Vec<String>,
    /// The capture kernel's /init has spoken.
    pub captured: bool,
    /// A dump was announced.
    pub dump: bool,
    /// The last line that says anything.
    pub last: Option<String>,
}

impl Story {
    /// Reads a console.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let mut story = Self::default();
        let mut in_trace = false;
        for line in String::from_utf8_lossy(bytes).lines() {
            let line = clean(line);
            if line.is_empty() {
                continue;
            }
            story.last = Some(line.clone());
            if let Some(event) = event_in(&line) {
                story.hear(&event);
            } else if !story.captured {
                story.first_kernel_says(&line, &mut in_trace);
            }
        }
        story
    }

    fn hear(&mut self, event: &Event) {
        match event {
            Event::Boot {
                stage: Stage::Capture,
                ..
            } => self.captured = true,
            Event::Dump { .. } => self.dump = true,
            _ => {}
        }
    }

    fn first_kernel_says(&mut self, line: &str, in_trace: &mut bool) {
        if let (None, Some(Event::Crash { line })) = (&self.crash, event::crash_in(line)) {
            self.crash = Some(line);
        }
        if let Some(at) = line.find("Kernel panic - not syncing") {
            self.panic = Some(line[at..].to_owned());
        }
        let text = line.split_once("] ").map_or(line, |(_, text)| text).trim();
        match text {
            "Call Trace:" => {
                *in_trace = true;
                self.trace.clear();
            }
            _ if !*in_trace => {}
            // Brackets around a context (<IRQ>, </TASK>), and words that may be stale.
            _ if text.starts_with('<') || text.starts_with("? ") => {}
            _ => match text.split_once("+0x") {
                Some((symbol, _)) if !symbol.contains(' ') && self.trace.len() < 64 => {
                    self.trace.push(symbol.to_owned())
                }
                _ => *in_trace = false,
            },
        }
    }
}

impl fmt::Display for Story {
    /// One sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.panic, &self.crash) {
            (Some(line), _) | (None, Some(line)) => write!(f, "the console says: {line}")?,
            (None, None) => f.write_str("the console shows no crash")?,
        }
        if self.captured {
            f.write_str("; the capture kernel came up")?;
        }
        match &self.last {
            Some(last) if !last.starts_with("kdumpkit init:") => {
                write!(f, "; it ends with: {last}")
            }
            _ => Ok(()),
        }
    }
}

fn event_in(line: &str) -> Option<Event> {
    let at = line.find(EVENT)?;
    serde_json::from_str(&line[at + EVENT.len() - 1..]).ok()
}

/// Without control characters, and not too long.
fn clean(line: &str) -> String {
    let shown = line.chars().filter(|c| !c.is_control());
    // An event is JSON and needs its end.
    if line.contains(EVENT) {
        shown.collect()
    } else {
        shown.take(MAX_LINE).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PANIC: &[u8] = include_bytes!("../../../../tests/consoles/panic-capture-hangs.log");
    const OVERFLOW: &[u8] = include_bytes!("../../../../tests/consoles/overflow-captured.log");
    const HANG: &[u8] = include_bytes!("../../../../tests/consoles/hang.log");

    #[test]
    fn story_when_panic_and_the_capture_kernel_hangs_has_cause_and_trace_but_no_dump() {
        let story = Story::read(PANIC);
        assert_eq!(
            story.panic.as_deref(),
            Some("Kernel panic - not syncing: dumptest")
        );
        assert!(story.captured && !story.dump);
        assert!(
            story.trace.iter().any(|f| f == "do_one_initcall"),
            "{:?}",
            story.trace
        );
        assert!(story.to_string().starts_with(
            "the console says: Kernel panic - not syncing: dumptest; the capture kernel came up"
        ));
    }

    #[test]
    fn story_when_the_stack_overflowed_begins_with_the_guard_page() {
        let story = Story::read(OVERFLOW);
        assert!(
            story
                .crash
                .as_deref()
                .is_some_and(|l| l.starts_with("BUG: TASK stack guard page was hit")),
            "{story:?}"
        );
        assert!(story.captured && story.dump);
    }

    #[test]
    fn story_when_the_machine_hangs_shows_no_crash() {
        let story = Story::read(HANG);
        assert_eq!(
            (&story.crash, &story.panic, story.captured),
            (&None, &None, false)
        );
        assert!(story.to_string().starts_with("the console shows no crash"));
    }

    #[test]
    fn story_when_cut_off_anywhere_tells_no_more_than_the_whole() {
        let whole = Story::read(OVERFLOW);
        let at = |text: &[u8]| {
            OVERFLOW
                .windows(text.len())
                .position(|w| w == text)
                .unwrap()
        };
        let sign = at(b"BUG: TASK stack guard page") + b"BUG: ".len();
        for end in (0..OVERFLOW.len()).step_by(3) {
            let story = Story::read(&OVERFLOW[..end]);
            assert_eq!(story.crash.is_some(), end >= sign, "cut at {end}");
            assert!(whole.captured || !story.captured);
            assert!(!story.dump || story.captured, "cut at {end}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn story_when_bytes_are_garbage_never_panics_and_quotes_no_control_characters(
            bytes in proptest::collection::vec(any::<u8>(), 0..2000)
        ) {
            let text = Story::read(&bytes).to_string();
            prop_assert!(!text.chars().any(char::is_control));
            prop_assert!(text.chars().count() < 600);
        }

        #[test]
        fn story_when_garbage_is_written_over_a_panic_still_finds_what_is_left(
            at in 0..PANIC.len(), junk in proptest::collection::vec(any::<u8>(), 1..200)
        ) {
            let mut bytes = PANIC.to_vec();
            let end = (at + junk.len()).min(bytes.len());
            bytes.splice(at..end, junk);
            let mark = b"Kernel panic - not syncing: dumptest";
            let there = bytes.windows(mark.len()).any(|w| w == mark);
            let story = Story::read(&bytes);
            prop_assert!(!there || story.panic.is_some() || story.captured);
        }
    }
}
