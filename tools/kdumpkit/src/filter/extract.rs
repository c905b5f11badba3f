// SPDX-License-Identifier: GPL-2.0-or-later
//! Commands that only read a dump, or only change its form.

use super::run::{create, open};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use vmcore::pages::class::PageWords;
use vmcore::pages::scan::BlockClasses;
use vmcore::pages::{BLOCK_PFNS, Class, Level, MemMap, PageLayout};
use vmcore::{Dump, Pfn, flattened};

/// The first bytes of a zstd frame (RFC 8878, 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// `--dump-dmesg`: the kernel log as text.
///
/// # Errors
/// The dump or its log cannot be read, the text cannot be written.
pub fn dump_dmesg(dump: &Path, info: Option<&Path>, log: &Path, overwrite: bool) -> Result<()> {
    let text = open(dump, info)?
        .dmesg()
        .with_context(|| format!("reading the kernel log of {}", dump.display()))?;
    let mut file = create(log, overwrite)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("writing {}", log.display()))
}

/// `-R`: the dump out of the flattened stream on stdin, which may be compressed as a whole.
///
/// # Errors
/// A stream that is cut or none. The pieces that came stay, but without the header, which is the last of them.
pub fn rearrange(output: &Path, overwrite: bool) -> Result<()> {
    let file = create(output, overwrite)?;
    let mut stdin = BufReader::with_capacity(1 << 20, std::io::stdin().lock());
    let start = stdin.fill_buf().context("reading stdin")?;
    let write = |offset, bytes: &[u8]| {
        let result = file.write_all_at(bytes, offset);
        result.map_err(|source| vmcore::Error::Io {
            what: format!("writing {}", output.display()),
            source,
        })
    };
    let result = match start.starts_with(&ZSTD_MAGIC) {
        true => flattened::rearrange(zstd::stream::read::Decoder::with_buffer(stdin)?, write),
        false => flattened::rearrange(stdin, write),
    };
    result.context("rearranging the flattened stream on stdin")?;
    file.sync_all()
        .with_context(|| format!("writing {}", output.display()))
}

/// `--explain`: what a page is and why.
///
/// # Errors
/// The page is no RAM, or its `struct page` is not in the dump.
pub fn explain(path: &Path, info: Option<&Path>, pfn: u64) -> Result<()> {
    let dump = open(path, info)?;
    let layout = PageLayout::new(dump.vmcoreinfo())?;
    let block = pfn / BLOCK_PFNS;
    let within = (pfn % BLOCK_PFNS) as usize;
    let bit = |bits: &[u64]| bits[within / 64] >> (within % 64) & 1 == 1;
    let (ram, present) = dump.block(block)?;
    if !bit(&ram) {
        bail!("page frame {pfn:#x} is no RAM in this dump");
    }
    println!(
        "page frame {pfn:#x}, physical address {:#x}",
        Pfn(pfn).addr().0
    );
    println!("in this file: {}", if bit(&present) { "yes" } else { "no" });
    let Some(at) = MemMap::new(&dump)?.struct_page(Pfn(pfn))? else {
        println!("no struct page: its section is absent or offline; kept at every level");
        return Ok(());
    };
    let mut raw = vec![0; layout.size];
    dump.read_virt(at, &mut raw)?;
    let words = PageWords::parse(&layout, &raw);
    println!("struct page at {:#x}: {words:x?}", at.0);
    let class = class_of(&dump, &layout, block, within)?;
    println!("class: {}", class.name());
    let numbers = 0..=Level::MAX.number();
    let out: Vec<String> = numbers
        .filter_map(Level::new)
        .filter(|level| !level.keeps(class))
        .map(|level| level.to_string())
        .collect();
    match out.as_slice() {
        [] => println!("kept at every level (as a zero page stored once if it is full of zeros)"),
        out => println!("left out at levels {}", out.join(" ")),
    }
    Ok(())
}

/// Classifies from a place on where no folio can have begun before.
fn class_of(dump: &Dump, layout: &PageLayout, block: u64, within: usize) -> Result<Class> {
    /// 1 GiB pages are the largest folios of x86_64.
    const GIGANTIC_BLOCKS: u64 = (1 << 18) / BLOCK_PFNS;
    let mut classes = BlockClasses::new(dump, layout)?;
    let mut class = Class::NoStruct;
    for block in block - block % GIGANTIC_BLOCKS..=block {
        class = classes.block(block)[within];
    }
    Ok(class)
}
