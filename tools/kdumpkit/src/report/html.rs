// SPDX-License-Identifier: GPL-2.0-or-later
//! The report as one HTML page: no script, nothing loaded from elsewhere, legible in a mail and on paper.

use super::Report;
use super::collect::{PANIC, complains, place};
use super::text::{INTERRUPTED, end, file, human, repeated, task_words, when, where_};
use crate::facts::cpu::Cpu;
use crate::facts::system::MemoryUse;
use crate::facts::unwind::Frame;
use std::fmt::{self, Write as _};

const STYLE: &str = include_str!("style.css");

/// Text inside an element or a quoted attribute.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

fn esc(text: &impl AsRef<str>) -> Escaped<'_> {
    Escaped(text.as_ref())
}

/// The page. Writing to a String cannot fail.
pub fn page(report: &Report) -> String {
    let mut out = String::new();
    let release = report.kernel.as_ref().map_or("", |kernel| &kernel.release);
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{} - {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
        esc(&report.reason()),
        esc(&release)
    );
    header(&mut out, report);
    out.push_str("<main>\n");
    if let Some(cpu) = report.crashed_cpu() {
        let title = format!("Stack of CPU {}, which crashed", cpu.number);
        let _ = writeln!(out, "<section><h2>{title}</h2>");
        stack(&mut out, cpu, true);
        out.push_str("</section>\n");
    }
    others(&mut out, report);
    out.push_str("<div class=\"two\">\n");
    machine(&mut out, report);
    if let Some(used) = &report.memory {
        memory(&mut out, used);
    }
    out.push_str("</div>\n");
    log(&mut out, report);
    modules(&mut out, report);
    problems(&mut out, report);
    let _ = write!(
        out,
        "</main>\n<footer>{}<br>Read from the dump alone by kdumpkit {}.</footer>\n</body>\n</html>\n",
        esc(&file(report)),
        env!("CARGO_PKG_VERSION")
    );
    out
}

fn header(out: &mut String, report: &Report) {
    let _ = writeln!(
        out,
        "<header><div>\n<p>{} {}</p>\n<h1>{}</h1>\n<div class=\"tiles\">",
        esc(&report.host().unwrap_or_default()),
        esc(&when(report).unwrap_or_default()),
        esc(&report.reason())
    );
    let mut tile = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(out, "<div><b>{name}</b>{}</div>", esc(&value));
        }
    };
    let cpu = report.crashed_cpu();
    tile("where", report.crash.place.clone());
    tile("on", cpu.map(where_));
    tile(
        "task",
        cpu.and_then(|cpu| cpu.task.as_ref()).map(task_words),
    );
    tile("kernel", report.kernel.as_ref().map(|k| k.release.clone()));
    out.push_str("</div>\n");
    if report.file.incomplete {
        out.push_str("<p class=\"beware\">The dump was cut short: parts of it are missing.</p>\n");
    }
    for complaint in report.complaints() {
        let _ = writeln!(out, "<p class=\"beware\">Before: {}</p>", esc(complaint));
    }
    out.push_str("</div></header>\n");
}

fn stack(out: &mut String, cpu: &Cpu, crashed: bool) {
    let frames = &cpu.stack.frames;
    let at = place(frames).filter(|_| crashed);
    let mut before = at.is_some();
    out.push_str("<ol class=\"stack\">\n");
    for (i, frame, times) in cpu.stack.runs() {
        if frame.interrupted && i > 0 {
            let _ = writeln!(out, "<li class=\"bound\">{INTERRUPTED}</li>");
        }
        let is_place = at.is_some_and(|at| std::ptr::eq(at, frame));
        before &= !is_place;
        let class = match (is_place, before) {
            (true, _) => " class=\"place\"",
            (false, true) => " class=\"way\"",
            (false, false) => "",
        };
        let _ = writeln!(
            out,
            "<li{class} value=\"{i}\">{}<i>{}</i></li>",
            frame_words(frame),
            repeated(times)
        );
    }
    let _ = writeln!(
        out,
        "</ol>\n<p class=\"end\">{}</p>",
        esc(&end(&cpu.stack.end))
    );
}

/// Name first, the rest quieter.
fn frame_words(frame: &Frame) -> String {
    let whole = frame.to_string();
    let at = whole.find("+0x").unwrap_or(whole.len());
    let (name, rest) = whole.split_at(at);
    let guess = if frame.guessed {
        " <i>(found by trying)</i>"
    } else {
        ""
    };
    format!("{}<i>{}</i>{guess}", Escaped(name), Escaped(rest))
}

fn others(out: &mut String, report: &Report) {
    if report.other_cpus().next().is_none() {
        return;
    }
    out.push_str("<section><h2>What the other CPUs were doing</h2>\n");
    for cpu in report.other_cpus() {
        let task = cpu.task.as_ref().map(task_words).unwrap_or_default();
        let innermost = cpu.stack.frames.first().map(Frame::to_string);
        let _ = writeln!(
            out,
            "<details><summary>{}: {}, <code>{}</code></summary>",
            esc(&where_(cpu)),
            esc(&task),
            esc(&innermost.unwrap_or_default())
        );
        stack(out, cpu, false);
        out.push_str("</details>\n");
    }
    out.push_str("</section>\n");
}

fn machine(out: &mut String, report: &Report) {
    out.push_str("<section><h2>Machine</h2>\n<dl>\n");
    let mut entry = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            let _ = writeln!(out, "<dt>{name}</dt><dd>{}</dd>", esc(&value));
        }
    };
    let kernel = report.kernel.as_ref();
    entry("kernel", kernel.map(|k| k.release.as_str()));
    entry("version", kernel.map(|k| k.version.as_str()));
    entry("build id", report.build_id.as_deref());
    entry("command line", report.cmdline.as_deref());
    entry("hardware", report.hardware.as_deref());
    entry("processor", report.processor.as_deref());
    entry("tainted", Some(&super::text::taints(report)));
    for errors in &report.hardware_errors {
        let what = format!("{} recovered: {}", errors.count, errors.source);
        entry("hardware errors", Some(&what));
    }
    out.push_str("</dl></section>\n");
}

fn memory(out: &mut String, used: &MemoryUse) {
    let parts = [
        ("free", used.free),
        ("page cache and shared", used.file),
        ("anonymous", used.anonymous),
        ("slab, shrinks", used.slab_reclaimable),
        ("slab, other", used.slab_unreclaimable),
        ("page tables", used.page_tables),
        ("other: kernel, drivers, per CPU", used.other()),
    ];
    let percent = |bytes: u64| 100.0 * bytes as f64 / used.total.max(1) as f64;
    let _ = writeln!(
        out,
        "<section><h2>Memory, {}</h2>\n<div class=\"bar\">",
        esc(&human(used.total))
    );
    for (i, (name, bytes)) in parts.iter().enumerate() {
        let (width, name) = (percent(*bytes).min(100.0), esc(name));
        let _ = writeln!(
            out,
            "<span title=\"{name}\" style=\"width:{width:.2}%;background:var(--c{i})\"></span>"
        );
    }
    out.push_str("</div>\n<table>\n");
    for (i, (name, bytes)) in parts.iter().enumerate() {
        let _ = writeln!(
            out,
            "<tr><td><span class=\"key\" style=\"background:var(--c{i})\"></span>{}</td><td class=\"n\">{}</td><td class=\"n\">{:.1} %</td></tr>",
            esc(name),
            esc(&human(*bytes)),
            percent(*bytes)
        );
    }
    out.push_str("</table></section>\n");
}

fn log(out: &mut String, report: &Report) {
    let (shown, total) = (report.log.len(), report.log_total);
    let _ = writeln!(
        out,
        "<section><h2>Kernel log, the last {shown} of {total} lines</h2>\n<pre>"
    );
    for line in &report.log {
        let _ = match line.contains(PANIC) || complains(line) {
            true => writeln!(out, "<mark>{}</mark>", esc(line)),
            false => writeln!(out, "{}", esc(line)),
        };
    }
    out.push_str("</pre></section>\n");
}

fn modules(out: &mut String, report: &Report) {
    let _ = writeln!(
        out,
        "<section><h2>{} modules, the newest first</h2>\n<div class=\"scroll\"><table>\n\
         <tr><th>module</th><th class=\"n\">bytes</th><th>taints</th><th>version</th></tr>",
        report.modules.len()
    );
    for module in &report.modules {
        let _ = writeln!(
            out,
            "<tr><td class=\"mono\">{}</td><td class=\"n\">{}</td><td>{}</td><td>{}</td></tr>",
            esc(&module.name),
            module.bytes,
            esc(&module.taints),
            esc(&module.version)
        );
    }
    out.push_str("</table></div></section>\n");
}

fn problems(out: &mut String, report: &Report) {
    if report.problems.is_empty() {
        return;
    }
    out.push_str("<section><h2>Not in this dump</h2>\n<ul>\n");
    for problem in &report.problems {
        let _ = writeln!(out, "<li>{}</li>", esc(problem));
    }
    out.push_str("</ul></section>\n");
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
        let page = page(&hostile());
        assert_eq!(open_elements(&page), Vec::<&str>::new());
        let lower = page.to_lowercase();
        for bad in [
            "<script", "http://", "https://", "src=", "url(", "@import", "\u{1b}",
        ] {
            assert!(!lower.contains(bad), "{bad} is in the page");
        }
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)"));
        assert!(page.contains("in a hard interrupt"));
        // More than all of the memory is no wider than the bar.
        assert!(page.contains("width:100.00%"));
    }
}
