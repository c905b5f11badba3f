// SPDX-License-Identifier: GPL-2.0-or-later
//! The report as one HTML page: no script, nothing loaded from elsewhere, legible in a mail and on paper.
//!
//! page.html is the template; it escapes whatever it is given.

use super::Report;
use super::collect::{PANIC, complains, place};
use super::text::{
    INTERRUPTED, end, file, human, machine, memory_parts, repeated, task_words, when, where_,
};
use crate::facts::cpu::Cpu;
use crate::facts::system::MemoryUse;
use crate::facts::unwind::Frame;
use anyhow::{Context, Result};
use minijinja::Environment;
use minijinja::value::Serde;
use serde::Serialize;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");

/// What the template shows beside the report itself.
#[derive(Serialize)]
struct Page<'a> {
    style: &'static str,
    version: &'static str,
    interrupted: &'static str,
    report: &'a Report,
    reason: &'a str,
    host: &'a str,
    when: String,
    file: String,
    complaints: Vec<&'a String>,
    tiles: Vec<(&'static str, String)>,
    machine: Vec<(&'static str, String)>,
    crashed: Option<Shown>,
    others: Vec<Shown>,
    memory: Option<Memory>,
    /// Whether to mark it, and the line.
    log: Vec<(bool, &'a String)>,
}

/// One CPU.
#[derive(Serialize)]
struct Shown {
    number: u32,
    place: String,
    task: String,
    innermost: String,
    frames: Vec<Line>,
    end: String,
}

/// One line of a stack.
#[derive(Serialize)]
struct Line {
    number: usize,
    /// Not for the first line: nothing stands before it.
    interrupted: bool,
    guessed: bool,
    class: &'static str,
    name: String,
    rest: String,
}

#[derive(Serialize)]
struct Memory {
    total: String,
    parts: Vec<Part>,
}

#[derive(Serialize)]
struct Part {
    name: &'static str,
    bytes: String,
    percent: String,
    width: String,
}

/// The page.
///
/// # Errors
/// Never, as far as the tests can tell.
pub fn page(report: &Report) -> Result<String> {
    let mut environment = Environment::new();
    environment.add_template("page.html", TEMPLATE)?;
    let crashed = report.crashed_cpu();
    let tiles = [
        ("where", report.crash.place.clone()),
        ("on", crashed.map(where_)),
        (
            "task",
            crashed.and_then(|c| c.task.as_ref()).map(task_words),
        ),
        ("kernel", report.kernel.as_ref().map(|k| k.release.clone())),
    ];
    let log = report.log.iter();
    let page = Page {
        style: STYLE,
        version: env!("CARGO_PKG_VERSION"),
        interrupted: INTERRUPTED,
        report,
        reason: report.reason(),
        host: report.host().unwrap_or_default(),
        when: when(report).unwrap_or_default(),
        file: file(report),
        complaints: report.complaints().collect(),
        tiles: tiles
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect(),
        machine: machine(report),
        crashed: crashed.map(|cpu| shown(cpu, true)),
        others: report.other_cpus().map(|cpu| shown(cpu, false)).collect(),
        memory: report.memory.as_ref().map(memory),
        log: log
            .map(|line| (line.contains(PANIC) || complains(line), line))
            .collect(),
    };
    let template = environment.get_template("page.html")?;
    template
        .render(Serde(&page))
        .context("rendering the HTML page")
}

fn shown(cpu: &Cpu, crashed: bool) -> Shown {
    let frames = &cpu.stack.frames;
    let at = place(frames).filter(|_| crashed);
    let mut before = at.is_some();
    let lines = cpu.stack.runs().into_iter().map(|(number, frame, times)| {
        let is_place = at.is_some_and(|at| std::ptr::eq(at, frame));
        before &= !is_place;
        let class = match (is_place, before) {
            (true, _) => "place",
            (false, true) => "way",
            (false, false) => "",
        };
        line(number, frame, times, class)
    });
    Shown {
        number: cpu.number,
        place: where_(cpu),
        task: cpu.task.as_ref().map(task_words).unwrap_or_default(),
        innermost: frames.first().map(Frame::to_string).unwrap_or_default(),
        frames: lines.collect(),
        end: end(&cpu.stack.end),
    }
}

/// Name first, the rest quieter.
fn line(number: usize, frame: &Frame, times: usize, class: &'static str) -> Line {
    let whole = frame.to_string() + &repeated(times);
    let (name, rest) = whole.split_at(whole.find("+0x").unwrap_or(whole.len()));
    Line {
        number,
        interrupted: frame.interrupted && number > 0,
        guessed: frame.guessed,
        class,
        name: name.to_owned(),
        rest: rest.to_owned(),
    }
}

fn memory(used: &MemoryUse) -> Memory {
    let percent = |bytes: u64| 100.0 * bytes as f64 / used.total.max(1) as f64;
    let parts = memory_parts(used).into_iter().map(|(name, bytes)| Part {
        name,
        bytes: human(bytes),
        percent: format!("{:.1}", percent(bytes)),
        width: format!("{:.2}", percent(bytes).min(100.0)),
    });
    Memory {
        total: human(used.total),
        parts: parts.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::collect::tests::hostile;
    use super::*;

    /// Names of the elements that are open at the end; panics at one that ends and was not open.
    fn open_elements(page: &str) -> Vec<&str> {
        let mut open = Vec::new();
        for tag in page.split('<').skip(1) {
            let name = tag.split(['>', ' ', '\n']).next().unwrap_or_default();
            match name.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name), "in {tag:?}"),
                None if ["!DOCTYPE", "meta", "br"].contains(&name) => {}
                None => open.push(name),
            }
        }
        open
    }

    #[test]
    fn page_when_the_dump_is_hostile_is_well_formed_and_loads_nothing() {
        let page = page(&hostile()).unwrap();
        assert_eq!(open_elements(&page), Vec::<&str>::new());
        let lower = page.to_lowercase();
        for bad in [
            "<script", "http://", "https://", "src=", "url(", "@import", "\u{1b}",
        ] {
            assert!(!lower.contains(bad), "{bad} is in the page");
        }
        assert!(page.contains("&lt;script&gt;alert("));
        assert!(page.contains("in a hard interrupt"));
        // More than all of the memory is no wider than the bar.
        assert!(page.contains("width:100.00%"));
    }
}
