// SPDX-License-Identifier: GPL-2.0-or-later
//! The kernel image on disk: finding the running kernel's own, and checking that it can be the capture kernel.

use super::bzimage::SetupHeader;
use super::iomem::Region;
use super::relocatable::{self, Placement, Refusal};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The setup header and the version text are within this.
const START_BYTES: u64 = 64 << 10;

/// An image whose header has been read.
#[derive(Debug, Clone)]
pub struct Image {
    /// The file.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Its setup header.
    pub header: SetupHeader,
}

impl Image {
    /// Reads the header of `path`.
    ///
    /// # Errors
    /// It cannot be read or is no bzImage; the message names field, offset and value.
    pub fn open(path: &Path) -> Result<Self> {
        let read = || -> Result<Self> {
            let file = File::open(path)?;
            let bytes = file.metadata()?.len();
            let mut start = Vec::new();
            file.take(START_BYTES).read_to_end(&mut start)?;
            let header = SetupHeader::parse(&start, bytes)?;
            Ok(Self {
                path: path.to_owned(),
                bytes,
                header,
            })
        };
        read().with_context(|| format!("reading the kernel image {}", path.display()))
    }

    /// The image at `path`, or without one that of kernel `release` on this machine.
    ///
    /// # Errors
    /// See [`Self::open`] and [`Self::of_release`].
    pub fn chosen(path: Option<&Path>, release: &str) -> Result<Self> {
        match path {
            Some(path) => Self::open(path),
            None => Self::of_release(Path::new("/"), release),
        }
    }

    /// The image of the kernel `release`, from where distributions put it below `root`.
    ///
    /// # Errors
    /// None of the files exists, or none is of this release.
    pub fn of_release(root: &Path, release: &str) -> Result<Self> {
        let mut tried = Vec::new();
        for path in places(root, release) {
            if !path.exists() {
                tried.push(format!("{}: not there", path.display()));
                continue;
            }
            match Self::open(&path) {
                Ok(image) if image.header.release() == Some(release) => return Ok(image),
                Ok(image) => tried.push(format!(
                    "{}: release {}",
                    path.display(),
                    image.header.release().unwrap_or("unknown")
                )),
                Err(error) => tried.push(format!("{error:#}")),
            }
        }
        bail!(
            "no image of the running kernel {release} was found; name it in [load] kernel or with --kernel. Tried:\n  {}",
            tried.join("\n  ")
        )
    }

    /// Everything that speaks against this image in `region`, and where it can go when nothing does.
    ///
    /// # Errors
    /// Every reason at once, each with field, value and what is needed.
    pub fn check(
        &self,
        region: Region,
        initramfs_bytes: u64,
        cmdline: &str,
    ) -> Result<Placement, Vec<Refusal>> {
        let mut refusals = relocatable::check_image(&self.header, five_level_paging());
        if !refusals.is_empty() {
            return Err(refusals);
        }
        refusals.extend(relocatable::check_cmdline(&self.header, cmdline).err());
        match relocatable::check_region(&self.header, region, initramfs_bytes) {
            Ok(placement) if refusals.is_empty() => Ok(placement),
            Ok(_) => Err(refusals),
            Err(refusal) => {
                refusals.push(refusal);
                Err(refusals)
            }
        }
    }
}

/// Debian, Ubuntu, SUSE; Fedora and others since 2022; Arch; boot loader specification entries by machine id.
fn places(root: &Path, release: &str) -> Vec<PathBuf> {
    let mut places = vec![
        root.join(format!("boot/vmlinuz-{release}")),
        root.join(format!("usr/lib/modules/{release}/vmlinuz")),
        root.join(format!("lib/modules/{release}/vmlinuz")),
        root.join(format!("boot/bzImage-{release}")),
        root.join(format!("boot/kernel-{release}")),
    ];
    if let Ok(id) = fs::read_to_string(root.join("etc/machine-id")) {
        for boot in ["boot", "efi", "boot/efi"] {
            places.push(root.join(boot).join(id.trim()).join(release).join("linux"));
        }
    }
    places.push(root.join("boot/vmlinuz-linux"));
    places.push(root.join("boot/vmlinuz"));
    places
}

/// Does the running kernel use 5-level paging? (With no5lvl it clears the flag.)
fn five_level_paging() -> bool {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines()
        .find(|line| line.starts_with("flags"))
        .is_some_and(|line| line.split(' ').any(|flag| flag == "la57"))
}
