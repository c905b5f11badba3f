// SPDX-License-Identifier: GPL-2.0-or-later
//! Progress: a bar with the time left on a terminal, a line every tenth elsewhere (serial consoles, logs).

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use vmcore::addr::PAGE_SIZE;
use vmcore::write::Progress;

/// One of the two ways to show progress, or none.
pub enum Bar {
    /// `--message-level` without 1.
    Silent,
    /// A terminal that can redraw a line.
    Terminal(ProgressBar),
    /// Anything else.
    Lines {
        /// Pages in all.
        total: u64,
        /// Pages done.
        done: AtomicU64,
    },
}

impl Bar {
    /// A bar for that many pages.
    pub fn new(shown: bool, total: u64) -> Bar {
        if !shown {
            return Bar::Silent;
        }
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if dumb || !std::io::stderr().is_terminal() {
            return Bar::Lines {
                total,
                done: AtomicU64::new(0),
            };
        }
        let bar = ProgressBar::new(total * PAGE_SIZE);
        let template = "{bar:32} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Bar::Terminal(bar)
    }

    /// Takes the bar away; lines stay.
    pub fn finish(&self) {
        if let Bar::Terminal(bar) = self {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Bar {
    fn advance(&self, pages: u64) {
        match self {
            Bar::Silent => {}
            Bar::Terminal(bar) => bar.inc(pages * PAGE_SIZE),
            Bar::Lines { total, done } => {
                let before = done.fetch_add(pages, Ordering::Relaxed);
                let tenth = |n: u64| (n * 10).checked_div(*total).unwrap_or(10);
                if tenth(before) != tenth(before + pages) {
                    eprintln!("kdumpkit filter: {} %", 10 * tenth(before + pages));
                }
            }
        }
    }
}
