// SPDX-License-Identifier: GPL-2.0-or-later
//! Shows what the guests are doing: one live line each on a terminal, plain lines otherwise.

use crate::event::{Event, Stage};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

/// The display of one run.
pub struct Progress {
    bars: Option<MultiProgress>,
}

/// The display of one scenario.
pub struct Line {
    name: String,
    start: Instant,
    bar: Option<ProgressBar>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            bars: stderr().is_terminal().then(MultiProgress::new),
        }
    }
}

impl Progress {
    /// Adds a scenario.
    #[must_use]
    pub fn line(&self, name: &str) -> Line {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner());
            if let Ok(style) =
                ProgressStyle::with_template("{spinner} {elapsed:>4} {prefix} {wide_msg}")
            {
                bar.set_style(style);
            }
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Line {
            name: name.to_owned(),
            start: Instant::now(),
            bar,
        }
    }

    /// Prints text without disturbing the live lines.
    pub fn print(&self, text: &str) {
        let shown = self
            .bars
            .as_ref()
            .is_some_and(|bars| bars.println(text.trim_end()).is_ok());
        if !shown {
            eprintln!("{}", text.trim_end());
        }
    }
}

impl Line {
    /// Shows one event.
    pub fn event(&self, event: &Event) {
        let text = describe(event);
        match &self.bar {
            Some(bar) => bar.set_message(text),
            None => eprintln!(
                "{:>6.1} s  {}  {text}",
                self.start.elapsed().as_secs_f64(),
                self.name
            ),
        }
    }

    /// Takes the line away.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn describe(event: &Event) -> String {
    match event {
        Event::Boot {
            stage: Stage::First,
            release,
            ..
        } => format!("boot       {release}"),
        Event::Boot {
            stage: Stage::Capture,
            uptime_ms,
            ..
        } => format!("capture    kernel is up after {uptime_ms} ms"),
        Event::CaptureLoaded { reserved_bytes } => format!(
            "loaded     capture kernel, {} MiB reserved",
            reserved_bytes >> 20
        ),
        Event::Script { status, .. } => format!("script     ended with {status}"),
        Event::Arming { parameters } => {
            format!("arming     modprobe lkdtm {}", parameters.join(" "))
        }
        Event::Armed { log } => format!("armed      {log}"),
        Event::ArmFailed { log, .. } => format!("not armed  {log}"),
        Event::NoCrash { waited_s } => format!("no crash   within {waited_s} s"),
        Event::Crash { line } => format!("crash      {line}"),
        Event::Dump {
            path,
            bytes,
            elapsed_ms,
            ..
        } => format!("dump       {path}, {bytes} bytes in {elapsed_ms} ms"),
        Event::Failed { error, .. } => format!("failed     {error}"),
        Event::Bye {
            stage: Stage::First,
        } => "end        of the first kernel".to_owned(),
        Event::Bye {
            stage: Stage::Capture,
        } => "end        of the capture kernel".to_owned(),
    }
}
