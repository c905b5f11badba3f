// SPDX-License-Identifier: GPL-2.0-or-later
//! `kdumpkit early pack`: what the hooks put into the system initramfs.

use super::archive::{Parts, take_apart, unpacked};
use super::{Contents, files};
use crate::config::Config;
use crate::initramfs::init_program;
use crate::initramfs::modules::ModuleTree;
use crate::load::config::LoadConfig;
use crate::load::image::Image;
use crate::load::initramfs::ensure_built;
use crate::load::relocatable;
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What was put there, file and bytes.
pub type Sizes = Vec<(&'static str, u64)>;

/// Writes the early files for kernel `release`, by the configuration at `path`, to the folder `out`.
///
/// # Errors
/// The image cannot be a capture kernel, the capture initramfs is missing or for another kernel, `out` cannot be written.
pub fn pack(path: &Path, config: &Config, release: &str, out: &Path) -> Result<Sizes> {
    let image = Image::chosen(config.load.kernel.as_deref(), release)?;
    refuse_unusable(&image)?;
    let initramfs = ensure_built(path, config, release)?;
    let archive = fs::read(&initramfs)
        .with_context(|| format!("reading the capture initramfs {}", initramfs.display()))?;
    let system = ModuleTree::open(&Path::new("/lib/modules").join(release))?;
    let parts = unpacked(archive)
        .and_then(|archive| take_apart(&archive, release, &system))
        .with_context(|| format!("taking {} apart", initramfs.display()))?;
    write(&config.load, release, &image, &parts, out)
        .with_context(|| format!("writing the early files to {}", out.display()))
}

fn refuse_unusable(image: &Image) -> Result<()> {
    let refusals = relocatable::check_image(&image.header, false);
    if refusals.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    bail!(
        "{} cannot be the capture kernel:\n  {}",
        image.path.display(),
        lines.join("\n  ")
    )
}

fn write(
    config: &LoadConfig,
    release: &str,
    image: &Image,
    parts: &Parts,
    out: &Path,
) -> Result<Sizes> {
    fs::create_dir_all(out)?;
    let contents = Contents {
        release: release.to_owned(),
        modules: parts.modules.clone(),
        load: config.clone(),
    };
    fs::copy(init_program()?, out.join(files::PROGRAM))?;
    fs::set_permissions(out.join(files::PROGRAM), fs::Permissions::from_mode(0o755))?;
    fs::copy(&image.path, out.join(files::KERNEL))?;
    fs::write(out.join(files::REST), &parts.rest)?;
    fs::write(out.join(files::MODULES), parts.modules.join("\n") + "\n")?;
    fs::write(
        out.join(files::CONTENTS),
        serde_json::to_vec_pretty(&contents)?,
    )?;
    let names = [
        files::KERNEL,
        files::PROGRAM,
        files::REST,
        files::MODULES,
        files::CONTENTS,
    ];
    names
        .iter()
        .map(|name| Ok((*name, fs::metadata(out.join(name))?.len())))
        .collect()
}
