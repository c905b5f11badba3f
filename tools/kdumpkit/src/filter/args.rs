// SPDX-License-Identifier: GPL-2.0-or-later
//! The command line: makedumpfile's options, and ours.

use clap::Args;
use std::path::PathBuf;

/// Write the part of a vmcore that is worth keeping
///
/// Dump levels are sums of: 1 zero pages, 2 page cache without private data, 4 page cache, also with private data,
/// 8 user pages (anonymous, hugetlb), 16 free pages. A list (31,0 or 11,31) is tried from left to right while the
/// target has no space.
#[derive(Debug, Args)]
#[command(disable_version_flag = true, after_help = EXAMPLES)]
pub struct FilterArgs {
    /// Compress each page with zlib
    #[arg(short = 'c', group = "compression")]
    pub zlib: bool,
    /// Compress each page with lzo
    #[arg(short = 'l', group = "compression")]
    pub lzo: bool,
    /// Compress each page with snappy
    #[arg(short = 'p', group = "compression")]
    pub snappy: bool,
    /// Compress each page with zstd (the default)
    #[arg(short = 'z', group = "compression")]
    pub zstd: bool,
    /// Do not compress
    #[arg(long, group = "compression")]
    pub uncompressed: bool,
    /// Level of zlib (1 to 12, default 2) or zstd (-7 to 22, default 1)
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub compression_level: Option<i32>,

    /// Dump level, or a list of them to fall back on when the target is full
    #[arg(
        short = 'd',
        long = "dump-level",
        value_name = "LEVEL[,LEVEL]",
        value_delimiter = ','
    )]
    pub level: Vec<vmcore::pages::Level>,
    /// Replace DUMPFILE if it exists
    #[arg(short = 'f', long)]
    pub overwrite: bool,
    /// Go on with a kernel whose layout is not known: every page is kept, and the dump carries a note that says so
    #[arg(long)]
    pub force: bool,
    /// Layout of the crashed kernel (from `kdumpkit mkdfinfo`, mkdfinfo.ko or `makedumpfile -g`), laid over the dump's
    #[arg(short = 'i', value_name = "MKDFINFO")]
    pub info: Option<PathBuf>,
    /// Kernel file with debugging information, as the source of the layout instead of -i
    #[arg(short = 'x', value_name = "VMLINUX", conflicts_with = "info")]
    pub vmlinux: Option<PathBuf>,
    /// With -x: only write that layout to FILE, for -i (as `kdumpkit mkdfinfo -x VMLINUX -o FILE`)
    #[arg(
        short = 'g',
        value_name = "FILE",
        requires = "vmlinux",
        conflicts_with = "files"
    )]
    pub generate: Option<PathBuf>,
    /// Stop the output at this many bytes (K, M, G allowed), leaving a dump that is marked incomplete
    #[arg(short = 'L', value_name = "SIZE", value_parser = size)]
    pub limit: Option<u64>,
    /// Threads that read and compress; 0 is none besides the writer [default: one a CPU]
    #[arg(long, value_name = "N")]
    pub num_threads: Option<usize>,

    /// Write an ELF core instead of kdump-compressed pages
    #[arg(short = 'E', conflicts_with_all = ["zlib", "lzo", "snappy", "zstd", "split", "reassemble"])]
    pub elf: bool,
    /// Write a flattened stream to stdout, for a pipe; only VMCORE is given
    #[arg(short = 'F', conflicts_with_all = ["split", "reassemble"])]
    pub flattened: bool,
    /// With -F: compress the stream as a whole, which is far smaller than page by page; -R turns it back
    #[arg(long, value_name = "CODEC", value_parser = ["zstd"], requires = "flattened")]
    pub stream: Option<String>,
    /// Turn the flattened stream on stdin into DUMPFILE
    #[arg(short = 'R', conflicts_with_all = ["elf", "flattened", "level", "compression", "split", "reassemble"])]
    pub rearrange: bool,
    /// Write several DUMPFILEs, with the same number of pages each
    #[arg(long)]
    pub split: bool,
    /// Make one DUMPFILE out of those of --split: DUMPFILE1 DUMPFILE2... DUMPFILE
    #[arg(long, conflicts_with_all = ["level", "split"])]
    pub reassemble: bool,

    /// Write only the kernel log of VMCORE, as text
    #[arg(long, conflicts_with_all = ["level", "compression"])]
    pub dump_dmesg: bool,
    /// Say how many pages of each class a running (/proc/kcore) or crashed system has; nothing is written
    #[arg(long, conflicts_with_all = ["level", "compression", "explain", "dump_dmesg", "rearrange", "split", "reassemble"])]
    pub mem_usage: bool,
    /// Say what page frame PFN is used for, and which dump levels leave it out
    #[arg(long, value_name = "PFN", value_parser = number)]
    pub explain: Option<u64>,

    /// Read the written file back and compare every page and bitmap with the source; fail where the target cannot be read.
    /// Without this it is done where it can be, and elsewhere pages are compared before they are written
    #[arg(long)]
    pub verify: bool,
    /// Do not compare what was written with the source
    #[arg(long, conflicts_with = "verify")]
    pub no_verify: bool,
    /// Do not wait until the dump is on the device
    #[arg(long)]
    pub no_sync: bool,
    /// Print a table of the pages per class
    #[arg(long)]
    pub stats: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
    /// makedumpfile's sum of: 1 progress, 2 messages, 4 errors, 8 debugging, 16 report
    #[arg(long, value_name = "MASK", default_value_t = 7)]
    pub message_level: u32,

    /// Xen is not supported
    #[arg(short = 'X', hide = true)]
    pub xen: bool,
    /// Accepted for makedumpfile's sake; memory is bounded anyway
    #[arg(short = 'b', hide = true)]
    pub block_order: Option<u32>,
    /// Accepted for makedumpfile's sake; nothing is put into a work file
    #[arg(long, hide = true)]
    pub work_dir: Option<PathBuf>,
    /// Debugging messages
    #[arg(short = 'D', hide = true)]
    pub debug: bool,
    /// Print the version
    #[arg(short = 'v')]
    pub version: bool,

    /// VMCORE and DUMPFILE; what exactly depends on the options
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  kdumpkit filter -d 31 /proc/vmcore /var/crash/dump         zstd, all CPUs, verified
  kdumpkit filter -c -d 31 -i mkdfinfo /proc/vmcore dump     zlib, layout from the initramfs
  kdumpkit filter -F -d 31 --stream zstd /proc/vmcore | ssh host 'cat > stream'
  kdumpkit filter -R dump < stream                           what the other end does, now or later
  kdumpkit filter --dump-dmesg dump log                      the kernel log as text
  kdumpkit filter --mem-usage /proc/kcore                    how many pages of which class this system has
  kdumpkit filter --explain 0x1a2b dump                      why a page was kept or left out";

/// A decimal or 0x-hexadecimal number.
fn number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "valid is a decimal number, or a hexadecimal one with 0x".into())
}

/// A number of bytes with an optional K, M, G or T (powers of 1024).
fn size(text: &str) -> Result<u64, String> {
    let unit = |letter| match letter {
        'K' | 'k' => Some(10),
        'M' | 'm' => Some(20),
        'G' | 'g' => Some(30),
        'T' | 't' => Some(40),
        _ => None,
    };
    let (digits, shift) = match text.chars().last().and_then(unit) {
        Some(shift) => (&text[..text.len() - 1], shift),
        None => (text, 0),
    };
    let bytes: Option<u64> = digits.parse().ok();
    bytes
        .and_then(|bytes| bytes.checked_mul(1 << shift))
        .ok_or_else(|| "valid is a number of bytes, with K, M, G or T for powers of 1024".into())
}
