// SPDX-License-Identifier: GPL-2.0-or-later
//! `kdumpkit mkdfinfo`: makes, compares and checks the file that dump filters read with `-i`.
//!
//! [`make`] makes it from one of four sources, [`diff`] compares two files, [`check`] holds one against a dump,
//! [`keys`] lists what can be in it.

mod check;
mod diff;
mod keys;
mod make;

pub use make::dump_btf;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vmcoreinfo::Vmcoreinfo;

/// Exit status when file and dump, or two files, belong to different kernels; as makedumpfile's.
const EXIT_OTHER_KERNEL: u8 = 2;

/// Where the values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Origin {
    /// mkdfinfo.ko's files in /sys/kernel/mkdfinfo
    Sysfs,
    /// The running kernel's VMCOREINFO note alone
    Note,
    /// The note, BTF and /proc/kallsyms of the running kernel: no module and no debug package needed
    Btf,
    /// The note, BTF and symbol tables in a dump (--dump); the default when --dump is given
    Dump,
    /// A vmlinux with debugging information (-x); the default when -x is given
    Vmlinux,
}

/// Make the file that dump filters read with -i: what they must know about this kernel
///
/// Without --from: mkdfinfo.ko's files if it is loaded, BTF otherwise.
///
/// Exit status: 0 done (--diff: equal, --check: fits); 1 error (--diff, --check: differences); 2 the files, or file and
/// dump, belong to different kernels.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct MkdfinfoArgs {
    /// Source of the values
    #[arg(long, value_enum, value_name = "SOURCE")]
    from: Option<Origin>,
    /// Values of this boot (KASLR) as well: for a dump of this boot that lost its note
    #[arg(long)]
    boot: bool,
    /// Write to FILE instead of standard output (makedumpfile's name for it: -g)
    #[arg(short = 'o', short_alias = 'g', long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Dump to take the kernel's own tables from
    #[arg(long, value_name = "VMCORE")]
    dump: Option<PathBuf>,
    /// Kernel file with debugging information: the source, or with --from btf|note|dump one more that must agree
    #[arg(short = 'x', value_name = "VMLINUX")]
    vmlinux: Option<PathBuf>,
    /// Say which sources know each key, and what they say, instead of the file
    #[arg(long)]
    explain: bool,

    /// Compare two files and say what each difference means
    #[arg(long, num_args = 2, value_names = ["A", "B"], group = "verb", conflicts_with_all = ["from", "output", "vmlinux"])]
    diff: Option<Vec<PathBuf>>,
    /// Hold a file against a dump: would `filter -i FILE VMCORE` use it, and what would change?
    #[arg(long, num_args = 2, value_names = ["FILE", "VMCORE"], group = "verb", conflicts_with_all = ["from", "output", "vmlinux"])]
    check: Option<Vec<PathBuf>>,

    /// List all keys as a reStructuredText table: what they mean and which sources can know them
    #[arg(long, group = "verb", conflicts_with_all = ["from", "output", "vmlinux"])]
    keys: bool,

    #[command(flatten)]
    places: Places,
}

/// Where the running kernel's files are; another place for files that were copied from elsewhere.
#[derive(Debug, Args)]
struct Places {
    /// mkdfinfo.ko's folder
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/sys/kernel/mkdfinfo",
        help_heading = "Places"
    )]
    sysfs: PathBuf,
    /// An ELF core file with the note, or the note's text
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/proc/kcore",
        help_heading = "Places"
    )]
    note: PathBuf,
    /// The kernel's BTF
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/sys/kernel/btf/vmlinux",
        help_heading = "Places"
    )]
    btf: PathBuf,
    /// The kernel's symbols
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/proc/kallsyms",
        help_heading = "Places"
    )]
    kallsyms: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  kdumpkit mkdfinfo -o mkdfinfo                          from mkdfinfo.ko, or else from BTF
  kdumpkit mkdfinfo -g mkdfinfo -x vmlinux               from DWARF, as makedumpfile -g -x
  kdumpkit mkdfinfo --dump vmcore -x vmlinux --explain   every key, and what each source says
  kdumpkit mkdfinfo --diff mkdfinfo old                  what differs, and what it means
  kdumpkit mkdfinfo --check mkdfinfo /var/crash/vmcore   does it belong to this dump?";

/// Runs `kdumpkit mkdfinfo`.
///
/// # Errors
/// A source or file that cannot be read, or contradicts itself; names it.
pub fn main(args: &MkdfinfoArgs) -> Result<ExitCode> {
    if let Some([a, b]) = args.diff.as_deref() {
        return diff::main(a, b);
    }
    if let Some([file, dump]) = args.check.as_deref() {
        return check::main(file, dump);
    }
    if args.keys {
        print!("{}", keys::table());
        return Ok(ExitCode::SUCCESS);
    }
    let made = make::make(args)?;
    for conflict in &made.conflicts {
        eprintln!(
            "kdumpkit mkdfinfo: warning: {} withheld: {} says {:#x}, {} says {:#x}",
            conflict.key,
            conflict.one.0.name(),
            conflict.one.1,
            conflict.other.0.name(),
            conflict.other.1
        );
    }
    match &args.output {
        Some(path) => crate::atomic::write(path, made.text.as_bytes())?,
        None => std::io::stdout()
            .write_all(made.text.as_bytes())
            .context("writing to standard output")?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads a file of ours or makedumpfile's.
fn read(path: &Path) -> Result<Vmcoreinfo> {
    let bytes = make::read_bounded(path)?;
    Vmcoreinfo::parse(&bytes).with_context(|| path.display().to_string())
}

/// The layout out of a kernel file with debugging information, for `kdumpkit filter -x`.
///
/// # Errors
/// The file cannot be read or has no debugging information.
pub fn from_vmlinux(path: &Path) -> Result<Vmcoreinfo> {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: MkdfinfoArgs,
    }
    let line = [
        std::ffi::OsStr::new("mkdfinfo"),
        "-x".as_ref(),
        path.as_os_str(),
    ];
    let made = make::make(&<Line as clap::Parser>::try_parse_from(line)?.args)?;
    Vmcoreinfo::parse(made.text.as_bytes()).with_context(|| path.display().to_string())
}
