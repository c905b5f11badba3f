// SPDX-License-Identifier: GPL-2.0-or-later
//! One filter job, from the source to a verified dump.

use super::job::{Job, Target};
use super::progress::Bar;
use super::report::Report;
use anyhow::{Context, Result, bail};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::IsTerminal;
use std::ops::Range;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Instant;
use vmcore::Dump;
use vmcore::pages::{Level, PageLayout, Scan, scan};
use vmcore::write::pipeline;
use vmcore::write::{
    Check, FileOutput, FlattenedOutput, KdumpOptions, Output, Unreadable, Written, write_elf,
    write_kdump,
};
use vmcoreinfo::Vmcoreinfo;

/// Writes the dump, with the first level that fits.
///
/// # Errors
/// No room for any level ends in [`vmcore::Error::NoSpace`]; a dump that is marked incomplete stays.
pub fn filter(job: &Job) -> Result<()> {
    let started = Instant::now();
    let mut dump = open_source(job)?;
    let highest = job.levels.iter().max().copied().unwrap_or(Level::NONE);
    let layout = layout(&mut dump, highest, job.force)?;
    let mut overwrite = job.overwrite;
    let (last, first) = job.levels.split_last().context("no dump level")?;
    for level in first {
        match attempt(job, &dump, layout.as_ref(), *level, overwrite, started) {
            Err(error) if is_no_space(&error) => {
                eprintln!("kdumpkit filter: level {level}: {error:#}; trying the next");
                // What stands there now is ours.
                overwrite = true;
            }
            result => return result,
        }
    }
    attempt(job, &dump, layout.as_ref(), *last, overwrite, started)
        .with_context(|| format!("writing the dump at level {last}"))
}

fn open_source(job: &Job) -> Result<Dump> {
    match job.dump.as_slice() {
        [dump] => {
            let mut opened = open(dump, job.info.as_deref())?;
            if let Some(vmlinux) = &job.vmlinux {
                let layout = crate::mkdfinfo::from_vmlinux(vmlinux)?;
                let merged = opened.vmcoreinfo().overlay(&layout);
                opened.set_vmcoreinfo(merged.with_context(|| vmlinux.display().to_string())?);
            }
            Ok(opened)
        }
        parts => Dump::open_split(parts).context("reading the split dump"),
    }
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
fn layout(dump: &mut Dump, level: Level, force: bool) -> Result<Option<PageLayout>> {
    match PageLayout::new(dump.vmcoreinfo()) {
        Ok(layout) => Ok(Some(layout)),
        Err(_) if !level.needs_classes() => Ok(None),
        Err(error) if force => {
            eprintln!("kdumpkit filter: warning: {error}; --force: keeping every page");
            dump.set_remark(&format!(
                "kdumpkit filter --force: the layout of struct page is not known, every page was kept ({error})"
            ));
            Ok(None)
        }
        Err(error) => Err(error).context(
            "the layout of this kernel's struct page is not known (--force keeps every page instead)",
        ),
    }
}

/// Creates the target; devices are opened as they are.
///
/// # Errors
/// A regular file that is there already, without `overwrite`.
pub fn create(path: &Path, overwrite: bool) -> Result<File> {
    let special = path.metadata().is_ok_and(|meta| !meta.is_file());
    let mut options = OpenOptions::new();
    // Reading is for comparing afterwards; a device that can only be written does too.
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
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            options.read(false).open(path)
        }
        result => result,
    }
    .with_context(|| format!("creating {}", path.display()))
}

fn attempt(
    job: &Job,
    dump: &Dump,
    layout: Option<&PageLayout>,
    level: Level,
    overwrite: bool,
    started: Instant,
) -> Result<()> {
    // Pages that the source does not have were left out by its own level.
    let source_level = dump.dump_level().and_then(|level| u8::try_from(level).ok());
    let noted = Level::new(level.number() | source_level.unwrap_or(0)).unwrap_or(level);
    let scan = scan::scan(dump, layout, level)?;
    // Reading back is a second pass over the same pages.
    let passes = match (&job.target, job.check) {
        (Target::File(_) | Target::Split(_), Check::ReadBack) => 2,
        _ => 1,
    };
    let bar = Bar::new(job.progress, passes * scan.kept.count());
    let work = Work {
        job,
        dump,
        scan: &scan,
        level: noted,
        bar: &bar,
    };
    let written = match &job.target {
        Target::File(path) => {
            let file = create(path, overwrite)?;
            work.write(&mut FileOutput::new(file, job.limit, job.sync), None)?
        }
        Target::Stdout { zstd } => work.stream(*zstd)?,
        Target::Split(paths) => work.split(paths, overwrite)?,
    };
    bar.finish();
    report(&work, written, started)
}

/// One attempt, ready to be written somewhere.
struct Work<'a> {
    job: &'a Job,
    dump: &'a Dump,
    scan: &'a Scan,
    level: Level,
    bar: &'a Bar,
}

impl Work<'_> {
    fn write(&self, output: &mut dyn Output, split: Option<Range<u64>>) -> Result<Written> {
        let job = pipeline::Job {
            codec: self.job.codec,
            level: Some(self.job.compression_level),
            threads: self.job.threads,
            check: self.job.check,
        };
        if self.job.must_read_back && output.read_back().is_none() {
            bail!(
                "--verify: this target cannot be read back; without --verify pages are compared before they are written"
            );
        }
        let written = if self.job.elf {
            write_elf(self.dump, self.scan, self.level, job, output, self.bar)?
        } else {
            let options = KdumpOptions {
                job,
                level: self.level,
                split,
            };
            write_kdump(self.dump, self.scan, &options, output, self.bar)?
        };
        Ok(written)
    }

    fn stream(&self, zstd: bool) -> Result<Written> {
        let stdout = std::io::stdout().lock();
        if stdout.is_terminal() {
            bail!("-F writes a binary stream: send stdout into a pipe or a file");
        }
        let stdout = File::from(stdout.as_fd().try_clone_to_owned()?);
        if !zstd {
            return self.write(&mut FlattenedOutput::new(stdout, self.job.limit), None);
        }
        let mut encoder = zstd::stream::write::Encoder::new(stdout, self.job.compression_level)?;
        encoder.include_checksum(true)?;
        encoder.multithread(self.job.threads as u32)?;
        let mut output = FlattenedOutput::new(encoder, self.job.limit);
        let written = self.write(&mut output, None)?;
        output
            .into_inner()
            .finish()
            .context("ending the zstd stream")?;
        Ok(written)
    }

    /// Files with the same number of pages each.
    fn split(&self, paths: &[PathBuf], overwrite: bool) -> Result<Written> {
        let mut all = Written {
            read_back: true,
            ..Written::default()
        };
        for (path, range) in paths
            .iter()
            .zip(split_ranges(self.scan, paths.len() as u64))
        {
            let file = create(path, overwrite)?;
            let mut output = FileOutput::new(file, self.job.limit, self.job.sync);
            let part = self
                .write(&mut output, Some(range))
                .with_context(|| format!("writing {}", path.display()))?;
            all.pages += part.pages;
            all.zero_pages += part.zero_pages;
            all.unreadable.append(&part.unreadable);
            all.read_back &= part.read_back;
            all.bytes += part.bytes;
        }
        Ok(all)
    }
}

/// Cuts all page frames into ranges with the same number of kept pages, within one run of them.
fn split_ranges(scan: &Scan, parts: u64) -> Vec<Range<u64>> {
    let mut ends = Vec::new();
    let mut seen = 0;
    for run in scan.kept.runs() {
        let pages = run.end - run.start;
        while (ends.len() as u64) < parts - 1 {
            let wanted = scan.kept.count() * (ends.len() as u64 + 1) / parts;
            if wanted > seen + pages {
                break;
            }
            ends.push(run.start + (wanted - seen));
        }
        seen += pages;
    }
    ends.resize(parts as usize, scan.max_pfn);
    let starts = std::iter::once(0).chain(ends.clone());
    starts.zip(ends).map(|(start, end)| start..end).collect()
}

fn report(work: &Work<'_>, written: Written, started: Instant) -> Result<()> {
    let report = Report {
        job: work.job,
        level: work.level,
        remark: work.dump.remark(),
        scan: work.scan,
        written,
        seconds: started.elapsed().as_secs_f64(),
    };
    report.print()?;
    match report.written.unreadable.pages {
        0 => Ok(()),
        _ => Err(Incomplete(report.written.unreadable).into()),
    }
}

/// The dump is written and verified, but marked incomplete: the source refused some pages.
#[derive(Debug, thiserror::Error)]
pub struct Incomplete(Unreadable);

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unreadable { pages, runs } = &self.0;
        let runs: Vec<String> = runs
            .iter()
            .map(|run| format!("{:#x}-{:#x}", run.start, run.end - 1))
            .collect();
        write!(
            f,
            "{pages} pages of the source could not be read (page frames {}); the dump is marked incomplete",
            runs.join(" ")
        )
    }
}
