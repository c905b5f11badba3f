// SPDX-License-Identifier: GPL-2.0-or-later
//! Shows what a dump says about its crash: `cargo run -p vmcore --example show -- VMCORE`.

use vmcore::{Dump, VirtAddr};

fn main() -> vmcore::Result<()> {
    let Some(path) = std::env::args().nth(1) else {
        println!("usage: show VMCORE");
        return Ok(());
    };
    let dump = Dump::open(path)?;
    let info = dump.vmcoreinfo();
    println!("release {:?}, format {:?}", info.osrelease(), dump.format());
    println!(
        "incomplete {}, level {:?}",
        dump.is_incomplete(),
        dump.dump_level()
    );
    let pages: u64 = dump.ram()?.iter().map(|r| r.end.0 - r.start.0).sum();
    println!("{pages} pages of RAM");
    let symbols = dump.symbols()?;
    println!("{} symbols", symbols.len());
    for status in dump.prstatus() {
        let at = symbols.lookup(VirtAddr(status.regs.rip));
        let name = at.map(|(symbol, offset)| format!("{}+{offset:#x}", symbol.name));
        println!("cpu {} pid {} rip {name:?}", status.cpu, status.pid);
    }
    let log = dump.dmesg()?;
    let lines: Vec<&str> = log.lines().collect();
    println!("{} lines of log, the last:", lines.len());
    for line in &lines[lines.len().saturating_sub(25)..] {
        println!("{line}");
    }
    Ok(())
}
