// SPDX-License-Identifier: GPL-2.0-or-later
//! Finds a block device by what its superblock or partition table says, without udev.
//!
//! Sources: Documentation/filesystems/ext4/super.rst, xfs and btrfs on-disk format documents.

use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What a superblock says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// `ext4`, `xfs` or `btrfs` (ext2 and ext3 are ext4 to the kernel's driver).
    pub fstype: &'static str,
    /// Lower case with dashes.
    pub uuid: String,
    /// May be empty.
    pub label: String,
}

struct Layout {
    fstype: &'static str,
    /// Where the superblock begins.
    start: u64,
    magic: (usize, &'static [u8]),
    uuid: usize,
    label: (usize, usize),
}

const LAYOUTS: [Layout; 3] = [
    Layout {
        fstype: "ext4",
        start: 1024,
        magic: (56, &[0x53, 0xef]),
        uuid: 104,
        label: (120, 16),
    },
    Layout {
        fstype: "xfs",
        start: 0,
        magic: (0, b"XFSB"),
        uuid: 32,
        label: (108, 12),
    },
    Layout {
        fstype: "btrfs",
        start: 64 << 10,
        magic: (64, b"_BHRfS_M"),
        uuid: 32,
        label: (299, 256),
    },
];

/// Reads the superblock of a device or image; None: none that is known.
///
/// # Errors
/// The device cannot be read. One that is too small for a superblock has none.
pub fn superblock(device: &File) -> io::Result<Option<Superblock>> {
    for layout in &LAYOUTS {
        let mut bytes = [0; 600];
        match device.read_exact_at(&mut bytes, layout.start) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
            result => result?,
        }
        let (at, magic) = layout.magic;
        if bytes[at..].starts_with(magic) {
            let (at, length) = layout.label;
            let label = bytes[at..at + length].split(|b| *b == 0).next();
            return Ok(Some(Superblock {
                fstype: layout.fstype,
                uuid: uuid(&bytes[layout.uuid..layout.uuid + 16]),
                label: String::from_utf8_lossy(label.unwrap_or_default()).into_owned(),
            }));
        }
    }
    Ok(None)
}

/// Opens a device and reads its superblock; None: none that is known.
///
/// # Errors
/// It cannot be read.
pub fn look(device: &Path) -> Result<Option<Superblock>> {
    File::open(device)
        .and_then(|file| superblock(&file))
        .with_context(|| format!("reading {}", device.display()))
}

/// The same for a device that must hold a file system.
///
/// # Errors
/// It holds none that is known.
pub fn file_system(device: &Path) -> Result<Superblock> {
    look(device)?.with_context(|| format!("{} holds no ext4, xfs or btrfs", device.display()))
}

fn uuid(bytes: &[u8]) -> String {
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

/// `/dev/disk/by-uuid/X` → `UUID=X`: udev's links do not exist in the capture kernel.
fn as_tag(device: &str) -> String {
    for (folder, tag) in [
        ("by-uuid", "UUID"),
        ("by-label", "LABEL"),
        ("by-partuuid", "PARTUUID"),
    ] {
        if let Some(value) = device.strip_prefix(&format!("/dev/disk/{folder}/")) {
            return format!("{tag}={value}");
        }
    }
    device.to_owned()
}

/// The device node of `UUID=…`, `LABEL=…`, `PARTUUID=…` or a path, waiting until it appears.
///
/// # Errors
/// It does not appear within `deadline`; the message lists what is there.
pub fn wait_for(device: &str, deadline: Duration) -> Result<PathBuf> {
    let wanted = as_tag(device);
    let end = Instant::now() + deadline;
    loop {
        if let Some(path) = find(&wanted) {
            return Ok(path);
        }
        ensure!(
            Instant::now() < end,
            "{wanted} did not appear within {} s; block devices here: {}",
            deadline.as_secs(),
            list().join(", ")
        );
        sleep(Duration::from_millis(50));
    }
}

/// As [`wait_for`], without waiting.
#[must_use]
pub fn find(wanted: &str) -> Option<PathBuf> {
    let wanted = as_tag(wanted);
    let Some((tag, value)) = wanted.split_once('=') else {
        return Path::new(&wanted).exists().then(|| wanted.into());
    };
    names().into_iter().find_map(|name| {
        let path = Path::new("/dev").join(&name);
        let found = match tag {
            "PARTUUID" => partuuid(&name).is_some_and(|p| p.eq_ignore_ascii_case(value)),
            _ => look(&path).ok()?.is_some_and(|s| match tag {
                "UUID" => s.uuid.eq_ignore_ascii_case(value),
                _ => s.label == value,
            }),
        };
        found.then_some(path)
    })
}

/// Kernel names of the block devices that have a size.
fn names() -> Vec<String> {
    let entries = fs::read_dir("/sys/class/block").into_iter().flatten();
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|e| fs::read_to_string(e.path().join("size")).is_ok_and(|s| s.trim() != "0"))
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn partuuid(name: &str) -> Option<String> {
    let uevent = fs::read_to_string(format!("/sys/class/block/{name}/uevent")).ok()?;
    let line = uevent.lines().find_map(|l| l.strip_prefix("PARTUUID="));
    line.map(str::to_owned)
}

/// For messages: every block device with what it holds.
fn list() -> Vec<String> {
    let describe = |name: String| {
        let holds = look(&Path::new("/dev").join(&name));
        match holds.ok().flatten() {
            Some(s) => format!("{name} ({} UUID={} LABEL={})", s.fstype, s.uuid, s.label),
            None => name,
        }
    };
    let all: Vec<String> = names().into_iter().map(describe).collect();
    if all.is_empty() {
        return vec!["none".to_owned()];
    }
    all
}

/// Opens a device that is to be overwritten.
///
/// # Errors
/// It holds a file system: somebody's data, not a place for a raw dump.
pub fn open_raw(path: &Path) -> Result<File> {
    let file = File::options()
        .read(true)
        .write(true)
        .open(path)
        .with_context(|| format!("opening {}", path.display()))?;
    if let Some(found) = superblock(&file)? {
        bail!(
            "{} holds a file system ({} UUID={}): a raw dump would destroy it; `wipefs -a` it if that is wanted",
            path.display(),
            found.fstype,
            found.uuid
        );
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn superblock_when_image_of_each_type_is_recognised() {
        for layout in &LAYOUTS {
            let path = std::env::temp_dir().join(format!(
                "kdumpkit-superblock-{}-{}",
                layout.fstype,
                std::process::id()
            ));
            let file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(&path)
                .unwrap();
            file.set_len(1 << 20).unwrap();
            assert_eq!(superblock(&file).unwrap(), None);
            let at = |offset: usize| layout.start + offset as u64;
            file.write_all_at(layout.magic.1, at(layout.magic.0))
                .unwrap();
            file.write_all_at(&[0xab; 16], at(layout.uuid)).unwrap();
            file.write_all_at(b"crash", at(layout.label.0)).unwrap();
            let found = superblock(&file).unwrap().unwrap();
            fs::remove_file(&path).unwrap();
            assert_eq!(found.fstype, layout.fstype);
            assert_eq!(found.uuid, "abababab-abab-abab-abab-abababababab");
            assert_eq!(found.label, "crash");
        }
    }

    #[test]
    fn as_tag_when_udev_link_is_the_tag() {
        assert_eq!(as_tag("/dev/disk/by-uuid/12-34"), "UUID=12-34");
        assert_eq!(as_tag("/dev/vda1"), "/dev/vda1");
    }
}
