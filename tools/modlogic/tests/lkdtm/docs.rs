// SPDX-License-Identifier: GPL-2.0-or-later
//! Documentation/lkdtm-tables.rst is made from the tables: UPDATE_DOCS=1 cargo test writes it.

use modlogic::lkdtm::points::{ANY, HARDIRQ, POINTS, SOFTIRQ, TASK};
use modlogic::lkdtm::types::{Needs, RunIn, TYPES};
use std::fmt::Write;

const PATH: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../Documentation/lkdtm-tables.rst"
);

fn heading(out: &mut String, text: &str, line: &str) {
    writeln!(out, "\n{text}\n{}\n", line.repeat(text.len())).unwrap();
}

fn list(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|n| format!("``{n}``")).collect();
    names.join(", ")
}

fn contexts(bits: u8) -> String {
    if bits == ANY {
        return "any".into();
    }
    let names = [
        (TASK, "task"),
        (SOFTIRQ, "softirq"),
        (HARDIRQ, "hard interrupt"),
    ];
    let names: Vec<_> = names
        .iter()
        .filter(|(b, _)| bits & b != 0)
        .map(|(_, n)| *n)
        .collect();
    names.join(", ")
}

fn needs(needs: Needs, run_in: RunIn) -> String {
    match needs {
        Needs::Nothing => "panics by itself".into(),
        Needs::PanicOnOops if matches!(run_in, RunIn::Hardirq | RunIn::Nmi | RunIn::Softirq) => {
            "panics by itself".into()
        }
        Needs::PanicOnOops => "panics in interrupts; in a task with ``kernel.panic_on_oops=1``".into(),
        Needs::PanicOnWarn => "panics with ``kernel.panic_on_warn=1``".into(),
        Needs::Watchdog => {
            "panics with ``kernel.softlockup_panic=1``, or with interrupts off ``kernel.hardlockup_panic=1`` or \
             ``kernel.panic_on_rcu_stall=1``"
                .into()
        }
        Needs::HungTaskPanic => "panics with ``kernel.hung_task_panic`` above 0".into(),
        Needs::Debugging => "unnoticed, or a later crash, without memory debugging".into(),
        Needs::Never => "never crashes".into(),
    }
}

fn render() -> String {
    let mut out = String::from(
        ".. SPDX-License-Identifier: GPL-2.0-or-later\n.. Made from lkdtm/points.rs and lkdtm/types.rs by \
         UPDATE_DOCS=1 cargo test -p modlogic --test lkdtm\n",
    );
    heading(&mut out, "lkdtm: crash points and crash types", "=");
    heading(&mut out, "Crash points", "-");
    for p in POINTS {
        writeln!(out, "``{}``\n    {}.", p.name, p.summary).unwrap();
        if !p.symbols.is_empty() {
            writeln!(out, "    Symbols, in this order: {}.", list(p.symbols)).unwrap();
        }
        if let Some(module) = p.module {
            writeln!(
                out,
                "    Armed when the module ``{module}`` is loaded, unless it is built in."
            )
            .unwrap();
        }
        if !p.aliases.is_empty() {
            writeln!(out, "    Also called {}.", list(p.aliases)).unwrap();
        }
        writeln!(
            out,
            "    Context: {}. Load that makes it fire: {}.\n",
            contexts(p.contexts),
            p.load
        )
        .unwrap();
    }
    heading(&mut out, "Crash types", "-");
    for t in TYPES {
        writeln!(
            out,
            "``{}``\n    {}; {}.",
            t.name,
            t.summary,
            needs(t.needs, t.run_in)
        )
        .unwrap();
        if !t.aliases.is_empty() {
            writeln!(out, "    Also called {}.", list(t.aliases)).unwrap();
        }
        if t.direct_only {
            writeln!(out, "    Only at point ``DIRECT``.").unwrap();
        }
        if !t.expect.is_empty() {
            writeln!(
                out,
                "    In the log: {}.",
                list(t.expect).replace("``, ``", "`` or ``")
            )
            .unwrap();
        }
        out.push('\n');
    }
    out
}

#[test]
fn the_page_holds_what_the_tables_say() {
    let page = render();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PATH, &page).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(PATH).unwrap_or_default(),
        page,
        "write it again with UPDATE_DOCS=1"
    );
}
