// SPDX-License-Identifier: GPL-2.0-or-later
//! Shows what the guests are doing: one live line each on a terminal, plain lines otherwise.

use super::report::Report;
use crate::event::Event;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The display of one run.
pub struct Progress {
    bars: Option<MultiProgress>,
    count: Mutex<Count>,
}

/// How far the run is.
#[derive(Default)]
struct Count {
    total: usize,
    done: usize,
    /// Before this runner began.
    done_before: usize,
    seconds: f64,
    jobs: usize,
    bar: Option<ProgressBar>,
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
            count: Mutex::default(),
        }
    }
}

impl Progress {
    /// Says what is to be done.
    pub fn begin(&self, total: usize, pending: usize, jobs: usize) {
        let bar = self.bars.as_ref().filter(|_| total > 1).map(|bars| {
            let bar = bars.add(ProgressBar::new(total as u64));
            if let Ok(style) =
                ProgressStyle::with_template("{elapsed:>4} [{bar:30}] {pos}/{len} {msg}")
            {
                bar.set_style(style);
            }
            bar.set_position((total - pending) as u64);
            bar
        });
        if pending < total {
            self.print(&format!(
                "going on: {} of {total} are done",
                total - pending
            ));
        }
        if let Ok(mut count) = self.count.lock() {
            let done = total - pending;
            *count = Count {
                total,
                done,
                done_before: done,
                seconds: 0.0,
                jobs,
                bar,
            };
        }
    }

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

    /// Shows a scenario's report, how far the run is, and how long it will still take.
    pub fn done(&self, report: &Report) {
        let Ok(mut count) = self.count.lock() else {
            return;
        };
        count.done += 1;
        count.seconds += report.seconds;
        let eta = count.eta();
        if let Some(bar) = &count.bar {
            bar.set_position(count.done as u64);
            bar.set_message(eta.clone());
        }
        let mut text = report.to_string();
        if count.total > 1 {
            text = format!(
                "[{}/{}] {:<7} {}  {:.1} s  {eta}\n{text}",
                count.done, count.total, report.outcome, report.id, report.seconds
            );
        }
        self.print(&text);
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Ok(mut count) = self.count.lock() {
            if let Some(bar) = count.bar.take() {
                bar.finish_and_clear();
            }
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

impl Count {
    /// From the scenarios that this runner has done.
    fn eta(&self) -> String {
        let ours = self.done - self.done_before;
        let left = self.total - self.done;
        if ours == 0 || left == 0 {
            return String::new();
        }
        let seconds = self.seconds / ours as f64 * left as f64 / self.jobs.max(1) as f64;
        match seconds as u64 {
            s @ 0..120 => format!("about {s} s left"),
            s => format!("about {} min left", s / 60 + 1),
        }
    }
}

impl Line {
    /// Shows one event.
    pub fn event(&self, event: &Event) {
        let text = event.to_string();
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
