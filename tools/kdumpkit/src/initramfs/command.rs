// SPDX-License-Identifier: GPL-2.0-or-later
//! `kdumpkit initramfs`.

use super::build::{self, Built, Sources};
use super::modules::ModuleTree;
use crate::config::{Compression, Config, DEFAULT_PATH};
use anyhow::{Context, Result};
use clap::Args;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

/// Build the capture kernel's initramfs from the configuration
#[derive(Debug, Args)]
pub struct InitramfsArgs {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = DEFAULT_PATH)]
    config: PathBuf,
    /// Where the initramfs goes, instead of the place that `kdumpkit load` takes it from
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Kernel release instead of the running one
    #[arg(long, value_name = "RELEASE")]
    release: Option<String>,
    /// Folder with that release's modules and modules.dep, instead of /lib/modules/RELEASE
    #[arg(long, value_name = "DIR", requires = "release")]
    modules: Option<PathBuf>,
    /// Folder with more modules, which win over those (a build's output)
    #[arg(long, value_name = "DIR")]
    add_modules: Vec<PathBuf>,
    /// mkdfinfo file of that release, instead of the running kernel's from mkdfinfo.ko
    #[arg(long, value_name = "FILE")]
    mkdfinfo: Option<PathBuf>,
    /// Say what each part costs, and what wants it
    #[arg(long)]
    why: bool,
}

/// Runs `kdumpkit initramfs`.
///
/// # Errors
/// The configuration is wrong or something it names is missing; nothing is written then.
pub fn main(args: &InitramfsArgs) -> Result<ExitCode> {
    let config = Config::load(&args.config)?;
    let sources = sources(args)?;
    let output = args
        .output
        .clone()
        .unwrap_or_else(|| config.load.initramfs_path(&sources.release));
    let built = build::build(&config, &sources)
        .with_context(|| format!("building the initramfs of {}", args.config.display()))?;
    if let Some(folder) = output.parent() {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    crate::atomic::write(&output, &built.image)?;
    for warning in &built.warnings {
        eprintln!("kdumpkit initramfs: warning: {warning}");
    }
    if args.why {
        print!("{}", why(&built)?);
    }
    println!(
        "{}: {} bytes, {} unpacked",
        output.display(),
        built.image.len(),
        built.unpacked_bytes
    );
    Ok(ExitCode::SUCCESS)
}

fn sources(args: &InitramfsArgs) -> Result<Sources> {
    let mut sources = match (&args.modules, &args.release) {
        (Some(folder), Some(release)) => Sources {
            modules: ModuleTree::open(folder)?,
            release: release.clone(),
            kdumpkit: super::init_program()?,
            mkdfinfo: None,
            hostname: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
        },
        (_, release) => Sources::of_this_machine(release.as_deref())?,
    };
    for folder in &args.add_modules {
        sources.modules.overlay(folder)?;
    }
    if let Some(file) = &args.mkdfinfo {
        let text = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
        sources.mkdfinfo = Some(text);
    }
    Ok(sources)
}

/// A table of the parts, the most expensive first. What a part takes when packed is measured by packing it alone, so the
/// column adds up to a little more than the whole.
fn why(built: &Built) -> Result<String> {
    let mut parts = built.parts.clone();
    parts.sort_by(|a, b| b.bytes.cmp(&a.bytes).then(a.path.cmp(&b.path)));
    let mut text = format!("{:>10} {:>10}  part\n", "bytes", "zstd");
    for part in parts {
        let packed = build::pack(part.data.clone(), Compression::Zstd)?.len();
        let (bytes, path, why) = (part.bytes, part.path, part.why);
        text.push_str(&format!("{bytes:>10} {packed:>10}  {path}: {why}\n"));
    }
    Ok(text)
}
