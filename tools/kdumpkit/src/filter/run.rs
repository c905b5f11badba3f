// SPDX-License-Identifier: GPL-2.0-or-later
//! One filter job, from the source to a verified dump.

use super::job::Job;
use super::progress::Bar;
use super::report::Report;
use anyhow::{Context, Result, bail};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Instant;
use vmcore::Dump;
use vmcore::pages::{Level, PageLayout, Scan, scan};
use vmcore::write::pipeline;
use vmcore::write::{FileOutput, KdumpOptions, Written, write_kdump};
use vmcoreinfo::Vmcoreinfo;

/// Writes the dump, with the first level that fits.
///
/// # Errors
/// No room for any level ends in [`vmcore::Error::NoSpace`]; a dump that is marked incomplete stays.
pub fn filter(job: &Job) -> Result<()> {
    let started = Instant::now();
    let dump = open(&job.dump, job.info.as_deref())?;
    let highest = job.levels.iter().max().copied().unwrap_or(Level::NONE);
    let layout = layout(&dump, highest, job.force)?;
    let mut file = Some(create(&job.output, job.overwrite)?);
    let (last, first) = job.levels.split_last().context("no dump level")?;
    for level in first {
        let file = file.take().map_or_else(|| reopen(&job.output), Ok)?;
        match attempt(job, &dump, layout.as_ref(), *level, file, started) {
            Err(error) if is_no_space(&error) => {
                eprintln!(
                    "kdumpkit filter: level {level} does not fit: {error:#}; trying the next"
                );
            }
            result => return result,
        }
    }
    let file = file.take().map_or_else(|| reopen(&job.output), Ok)?;
    attempt(job, &dump, layout.as_ref(), *last, file, started)
        .with_context(|| format!("writing {} at dump level {last}", job.output.display()))
}

/// Opens the source and lays the `-i` file over its VMCOREINFO.
///
/// # Errors
/// Names the file.
pub fn open(dump: &Path, info: Option<&Path>) -> Result<Dump> {
    let mut opened = Dump::open(dump).with_context(|| format!("reading {}", dump.display()))?;
    if let Some(path) = info {
        let text = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let file = Vmcoreinfo::parse(&text).with_context(|| path.display().to_string())?;
        let merged = opened.vmcoreinfo().overlay(&file);
        opened.set_vmcoreinfo(merged.with_context(|| path.display().to_string())?);
    }
    Ok(opened)
}

fn is_no_space(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(vmcore::Error::NoSpace { .. }))
}

/// The page layout, if the levels need one. An unknown layout is refused: a filter that guesses writes wrong dumps.
fn layout(dump: &Dump, level: Level, force: bool) -> Result<Option<PageLayout>> {
    match PageLayout::new(dump.vmcoreinfo()) {
        Ok(layout) => Ok(Some(layout)),
        Err(_) if !level.needs_classes() => Ok(None),
        Err(error) if force => {
            eprintln!("kdumpkit filter: warning: {error}; --force: keeping every page");
            Ok(None)
        }
        Err(error) => Err(error).context(
            "the layout of this kernel's struct page is not known (--force keeps every page instead)",
        ),
    }
}

fn create(path: &Path, overwrite: bool) -> Result<File> {
    let special = path.metadata().is_ok_and(|meta| {
        let kind = meta.file_type();
        kind.is_block_device() || kind.is_char_device()
    });
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    if !special {
        options
            .create(true)
            .truncate(overwrite)
            .create_new(!overwrite);
    }
    match options.open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            bail!("{} exists: -f replaces it", path.display())
        }
        result => result.with_context(|| format!("creating {}", path.display())),
    }
}

/// For the next dump level: from nothing again.
fn reopen(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).open(path);
    let file = file.with_context(|| format!("opening {} again", path.display()))?;
    // Block devices have no length to set.
    let _ = file.set_len(0);
    Ok(file)
}

fn attempt(
    job: &Job,
    dump: &Dump,
    layout: Option<&PageLayout>,
    level: Level,
    file: File,
    started: Instant,
) -> Result<()> {
    let scan = scan::scan(dump, layout, level)?;
    let mut output = FileOutput::new(file, job.limit, job.sync);
    let bar = Bar::new(job.progress, scan.kept.count());
    let options = KdumpOptions {
        job: pipeline::Job {
            codec: job.codec,
            level: Some(job.compression_level),
            threads: job.threads,
            check: job.verify,
        },
        level,
        split: None,
    };
    let written = write_kdump(dump, &scan, &options, &mut output, &bar)?;
    bar.finish();
    report(job, level, &scan, written, started)
}

fn report(job: &Job, level: Level, scan: &Scan, written: Written, started: Instant) -> Result<()> {
    let report = Report {
        dump: &job.dump,
        output: &job.output,
        level,
        codec: job.codec,
        scan,
        written,
        seconds: started.elapsed().as_secs_f64(),
        verified: job.verify,
    };
    report.print(job.json, job.stats)?;
    if written.unreadable_pages > 0 {
        bail!(
            "{} pages of {} could not be read; the dump is marked incomplete",
            written.unreadable_pages,
            job.dump.display()
        );
    }
    Ok(())
}
