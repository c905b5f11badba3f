// SPDX-License-Identifier: GPL-2.0-or-later
//! Takes a capture initramfs apart into what the system initramfs has anyway and the rest, and puts it together again.
//!
//! The system initramfs holds this program and the drivers of the machine's disks already: only the rest is packed a second
//! time. Archives are concatenated, which the kernel allows (Documentation/driver-api/early-userspace/buffer-format.rst).

use crate::initramfs::cpio::Writer;
use crate::initramfs::modules::ModuleTree;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

const HEADER_BYTES: usize = 110;
const TRAILER: &str = "TRAILER!!!";
/// zstd's magic number, at the start of a frame.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Of a capture initramfs, unpacked.
const MAX_ARCHIVE_BYTES: usize = 512 << 20;

/// One member of a newc archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// Path without a leading slash.
    pub name: &'a str,
    /// Contents; of a link, its target.
    pub data: &'a [u8],
    /// Header, name, data and padding as they are in the archive.
    raw: &'a [u8],
}

/// The members of (concatenated) newc archives, without trailers.
///
/// # Errors
/// The bytes are no newc archive or are cut off; the message has the offset.
pub fn members(archive: &[u8]) -> Result<Vec<Member<'_>>> {
    let mut members = Vec::new();
    let mut at = 0;
    while at < archive.len() {
        // Padding between concatenated archives.
        if archive[at] == 0 {
            at += 1;
            continue;
        }
        let (member, end) =
            member(archive, at).with_context(|| format!("reading the archive at byte {at}"))?;
        at = end;
        if member.name != TRAILER {
            members.push(member);
        }
    }
    Ok(members)
}

fn member(archive: &[u8], start: usize) -> Result<(Member<'_>, usize)> {
    let header = archive
        .get(start..start + HEADER_BYTES)
        .context("the header is cut off")?;
    ensure!(header.starts_with(b"070701"), "no newc header (070701)");
    let field = |n: usize| -> Result<usize> {
        let text = std::str::from_utf8(&header[6 + 8 * n..14 + 8 * n])?;
        Ok(u32::from_str_radix(text, 16)? as usize)
    };
    let (data_bytes, name_bytes) = (field(6)?, field(11)?);
    let name_start = start + HEADER_BYTES;
    let name = archive
        .get(name_start..name_start + name_bytes)
        .context("the name is cut off")?;
    let data_start = (name_start + name_bytes).next_multiple_of(4);
    let data_end = data_start + data_bytes;
    let data = archive
        .get(data_start..data_end)
        .context("the data is cut off")?;
    let end = data_end.next_multiple_of(4).min(archive.len());
    let name = std::str::from_utf8(name)?.trim_end_matches('\0');
    let raw = &archive[start..end];
    let name = name.trim_start_matches("./").trim_start_matches('/');
    Ok((Member { name, data, raw }, end))
}

/// The archive of a file that may be a zstd frame, with plain archives behind it.
///
/// # Errors
/// The frame is damaged, or unpacks to more than any capture initramfs.
pub fn unpacked(file: Vec<u8>) -> Result<Vec<u8>> {
    if !file.starts_with(&ZSTD_MAGIC) {
        return Ok(file);
    }
    let frame_bytes = zstd::zstd_safe::find_frame_compressed_size(&file).map_err(|code| {
        anyhow::anyhow!(
            "damaged zstd frame: {}",
            zstd::zstd_safe::get_error_name(code)
        )
    })?;
    let mut archive = zstd::bulk::decompress(&file[..frame_bytes], MAX_ARCHIVE_BYTES)
        .context("unpacking the zstd frame")?;
    archive.resize(archive.len().next_multiple_of(4), 0);
    archive.extend_from_slice(&file[frame_bytes..]);
    Ok(archive)
}

/// A capture initramfs without what the system initramfs has.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// What is packed again, as a newc archive.
    pub rest: Vec<u8>,
    /// Names of the modules that the system initramfs is to have.
    pub modules: Vec<String>,
}

/// Takes `archive` apart. `system` are the modules that the system initramfs can get.
///
/// # Errors
/// It has no /init or no modules.dep for `release`, or is no archive.
pub fn take_apart(archive: &[u8], release: &str, system: &ModuleTree) -> Result<Parts> {
    let folder = format!("usr/lib/modules/{release}/");
    let mut parts = Parts::default();
    let mut seen = BTreeSet::new();
    for member in members(archive)? {
        seen.insert(member.name);
        let module = member
            .name
            .strip_prefix(&folder)
            .and_then(|file| file.strip_suffix(".ko"));
        match module {
            // Only what is byte for byte the same is shared.
            Some(name) if system.image(name).is_ok_and(|image| image == member.data) => {
                parts.modules.push(name.to_owned());
            }
            _ if member.name == "init" => {}
            _ => parts.rest.extend_from_slice(member.raw),
        }
    }
    ensure!(seen.contains("init"), "it has no /init");
    let dep = format!("{folder}modules.dep");
    ensure!(
        seen.contains(dep.as_str()),
        "it has no /{dep}: it was built for another kernel than {release}"
    );
    let end = Writer::new(Vec::new()).finish()?;
    parts.rest.extend_from_slice(&end);
    Ok(parts)
}

/// The opposite: writes the capture initramfs to `out`.
///
/// # Errors
/// A module is missing from the system initramfs, or `out` cannot be written.
pub fn put_together(
    parts: &Parts,
    release: &str,
    init: &Path,
    system: &ModuleTree,
    out: &mut impl Write,
) -> Result<()> {
    out.write_all(&parts.rest)?;
    let mut writer = Writer::new(out);
    let binary = std::fs::read(init).with_context(|| format!("reading {}", init.display()))?;
    writer.file("init", 0o755, &binary)?;
    for name in &parts.modules {
        let Ok(image) = system.image(name) else {
            bail!(
                "module {name} is not in the system initramfs, which was to get it: build the system initramfs anew"
            );
        };
        writer.file(
            &format!("usr/lib/modules/{release}/{name}.ko"),
            0o644,
            &image,
        )?;
    }
    writer.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Vec<u8> {
        let mut w = Writer::new(Vec::new());
        w.file("init", 0o755, b"binary").unwrap();
        w.file("etc/x", 0o644, b"odd").unwrap();
        w.symlink("bin", "usr/bin").unwrap();
        w.file("usr/lib/modules/7/own.ko", 0o644, b"module")
            .unwrap();
        w.file("usr/lib/modules/7/modules.dep", 0o644, b"own.ko:\n")
            .unwrap();
        w.finish().unwrap()
    }

    fn names(archive: &[u8]) -> Vec<&str> {
        members(archive).unwrap().iter().map(|m| m.name).collect()
    }

    #[test]
    fn take_apart_and_put_together_when_nothing_is_shared_gives_all_members() {
        let archive = sample();
        let system = ModuleTree::default();
        let parts = take_apart(&archive, "7", &system).unwrap();
        assert!(!names(&parts.rest).contains(&"init"));
        let init = std::env::temp_dir().join(format!("kdumpkit-init-{}", std::process::id()));
        std::fs::write(&init, b"binary").unwrap();
        let mut again = Vec::new();
        put_together(&parts, "7", &init, &system, &mut again).unwrap();
        std::fs::remove_file(init).unwrap();
        let sorted = |archive: &[u8]| -> Vec<(String, Vec<u8>)> {
            let mut all: Vec<_> = members(archive)
                .unwrap()
                .iter()
                .map(|m| (m.name.to_owned(), m.data.to_vec()))
                .collect();
            all.sort();
            all
        };
        assert_eq!(sorted(&again), sorted(&archive));
    }

    #[test]
    fn take_apart_when_init_or_release_is_wrong_says_so() {
        let system = ModuleTree::default();
        let error = take_apart(&sample(), "8", &system).unwrap_err().to_string();
        assert!(error.contains("built for another kernel than 8"), "{error}");
        let empty = Writer::new(Vec::new()).finish().unwrap();
        let error = take_apart(&empty, "7", &system).unwrap_err().to_string();
        assert!(error.contains("no /init"), "{error}");
    }

    #[test]
    fn unpacked_when_zstd_with_an_archive_behind_gives_both() {
        let mut file = zstd::bulk::compress(&sample(), 3).unwrap();
        let mut more = Writer::new(Vec::new());
        more.file("more", 0o644, b"1").unwrap();
        file.extend(more.finish().unwrap());
        let archive = unpacked(file).unwrap();
        assert_eq!(*names(&archive).last().unwrap(), "more");
        assert_eq!(names(&archive).len(), names(&sample()).len() + 1);
    }

    proptest! {
        #[test]
        fn members_when_archive_is_damaged_never_panics(
            edits in prop::collection::vec((0_usize..900, any::<u8>()), 1..9),
            length in 0_usize..900,
        ) {
            let mut archive = sample();
            for (at, byte) in edits {
                let at = at % archive.len();
                archive[at] = byte;
            }
            archive.truncate(length);
            let _ = members(&archive);
        }
    }
}
