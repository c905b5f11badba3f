// SPDX-License-Identifier: GPL-2.0-or-later
//! Where the crash-loop guard keeps its count: an EFI variable, or the first sector of a block device.

use super::guard::{RECORD_BYTES, is_ours};
use crate::load::config::Guard;
use anyhow::{Context, Result, ensure};
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use rustix::mount::{MountFlags, mount};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const EFI: &str = "/sys/firmware/efi";
const EFIVARS: &str = "/sys/firmware/efi/efivars";
/// Name and vendor GUID (random, this project's own).
const VARIABLE: &str = "KdumpkitEarlyBoots-5bb1c9a6-3f0e-4a0c-9d0b-7f1d0f6c9c31";
/// EFI_VARIABLE_NON_VOLATILE | BOOTSERVICE_ACCESS | RUNTIME_ACCESS (UEFI specification, 8.2).
const ATTRIBUTES: [u8; 4] = [7, 0, 0, 0];
const SECTOR_BYTES: usize = 512;
/// In the system initramfs the device's driver may still be probing.
const DEVICE_WAIT: Duration = Duration::from_secs(5);

/// Keeps one small record over a reboot.
pub trait Store {
    /// The record, if there is one.
    ///
    /// # Errors
    /// The store cannot be read.
    fn read(&self) -> Result<Option<Vec<u8>>>;
    /// Replaces the record; it is on the medium when this returns.
    ///
    /// # Errors
    /// The store cannot be written.
    fn write(&self, record: &[u8]) -> Result<()>;
    /// Removes the record.
    ///
    /// # Errors
    /// The store cannot be written.
    fn clear(&self) -> Result<()>;
    /// For people.
    fn place(&self) -> String;
}

/// The store that `guard` asks for; None when it asks for none, or for the best and this machine has nothing.
///
/// # Errors
/// The store that was asked for is not there, or holds somebody else's data.
pub fn open(guard: &Guard) -> Result<Option<Box<dyn Store>>> {
    Ok(match guard {
        Guard::Off => None,
        Guard::Auto if !Path::new(EFI).exists() => None,
        Guard::Auto | Guard::Efi => Some(Box::new(EfiVariable::open()?)),
        Guard::Device(path) => Some(Box::new(Sector::open(path)?)),
    })
}

struct EfiVariable(PathBuf);

impl EfiVariable {
    fn open() -> Result<Self> {
        ensure!(
            Path::new(EFI).exists(),
            "guard = \"efi\", but this machine was not booted by EFI: use {{ device = \"/dev/…\" }}"
        );
        let folder = Path::new(EFIVARS);
        let is_empty = || fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
        if is_empty() {
            // In the system initramfs nobody has mounted it yet, and on some kernels it is a module.
            let _ = Command::new("modprobe")
                .args(["-q", "efivarfs"])
                .stdin(Stdio::null())
                .status();
            mount("efivarfs", folder, "efivarfs", MountFlags::empty(), None)
                .with_context(|| format!("mounting efivarfs on {EFIVARS}"))?;
        }
        Ok(Self(folder.join(VARIABLE)))
    }

    /// efivarfs protects variables that it does not know from an `rm -rf`.
    fn unprotect(&self) -> Result<()> {
        let Ok(file) = File::open(&self.0) else {
            return Ok(());
        };
        let flags = ioctl_getflags(&file)?;
        ioctl_setflags(&file, flags - IFlags::IMMUTABLE)
            .with_context(|| format!("making {} writable", self.0.display()))
    }
}

impl Store for EfiVariable {
    fn read(&self) -> Result<Option<Vec<u8>>> {
        match fs::read(&self.0) {
            Ok(bytes) => Ok(bytes.get(ATTRIBUTES.len()..).map(<[u8]>::to_vec)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", self.0.display())),
        }
    }

    fn write(&self, record: &[u8]) -> Result<()> {
        self.unprotect()?;
        let mut options = OpenOptions::new();
        options.write(true).create(true);
        let mut file = options
            .open(&self.0)
            .with_context(|| format!("opening {}", self.0.display()))?;
        // One write is one SetVariable().
        file.write_all(&[&ATTRIBUTES, record].concat())
            .with_context(|| format!("writing {}", self.0.display()))
    }

    fn clear(&self) -> Result<()> {
        self.unprotect()?;
        fs::remove_file(&self.0).with_context(|| format!("removing {}", self.0.display()))
    }

    fn place(&self) -> String {
        format!("EFI variable {VARIABLE}")
    }
}

struct Sector {
    path: PathBuf,
    file: File,
}

impl Sector {
    fn open(path: &Path) -> Result<Self> {
        let end = Instant::now() + DEVICE_WAIT;
        let file = loop {
            match OpenOptions::new().read(true).write(true).open(path) {
                Ok(file) => break file,
                Err(error) if Instant::now() > end => {
                    return Err(error).with_context(|| {
                        format!("opening {} for the crash-loop guard", path.display())
                    });
                }
                Err(_) => sleep(Duration::from_millis(20)),
            }
        };
        let sector = Self {
            path: path.to_owned(),
            file,
        };
        ensure!(
            is_ours(&sector.sector()?),
            "the first 512 bytes of {} hold something else: give the crash-loop guard a partition of its own, or clear it \
             with dd if=/dev/zero bs=512 count=1",
            path.display()
        );
        Ok(sector)
    }

    fn sector(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; SECTOR_BYTES];
        self.file
            .read_exact_at(&mut bytes, 0)
            .with_context(|| format!("reading {}", self.path.display()))?;
        Ok(bytes)
    }

    fn put(&self, bytes: &[u8]) -> Result<()> {
        let mut sector = [0; SECTOR_BYTES];
        sector[..bytes.len()].copy_from_slice(bytes);
        self.file
            .write_all_at(&sector, 0)
            .and_then(|()| self.file.sync_all())
            .with_context(|| format!("writing {}", self.path.display()))
    }
}

impl Store for Sector {
    fn read(&self) -> Result<Option<Vec<u8>>> {
        let sector = self.sector()?;
        Ok((sector[0] != 0).then(|| sector[..RECORD_BYTES].to_vec()))
    }

    fn write(&self, record: &[u8]) -> Result<()> {
        self.put(record)
    }

    fn clear(&self) -> Result<()> {
        self.put(&[])
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }
}
