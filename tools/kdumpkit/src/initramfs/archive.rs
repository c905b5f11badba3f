// SPDX-License-Identifier: GPL-2.0-or-later
//! The initramfs while it is being put together, with what each part costs.

use super::cpio;
use super::modules::LoadedModule;
use anyhow::{Context, Result, ensure};
use std::io;

/// The modules, one uncompressed file each.
const MODULE_FOLDER: &str = "usr/lib/modules";

/// One file of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Path inside.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// What wants it.
    pub why: String,
    /// Its content.
    pub data: Vec<u8>,
}

/// Folders, links and the console are there from the start; the rest is added.
pub struct Archive {
    cpio: cpio::Writer<Vec<u8>>,
    parts: Vec<Part>,
}

impl Archive {
    /// An archive with the frame of a root file system.
    pub fn new() -> Result<Self> {
        let mut cpio = cpio::Writer::new(Vec::new());
        for dir in [
            "dev", "proc", "sys", "run", "tmp", "mnt", "usr/bin", "usr/lib",
        ] {
            cpio.dir(dir)?;
        }
        for (link, target) in [
            ("bin", "usr/bin"),
            ("sbin", "usr/bin"),
            ("lib", "usr/lib"),
            ("lib64", "usr/lib"),
        ] {
            cpio.symlink(link, target)?;
        }
        // The kernel opens /dev/console for /init before devtmpfs is mounted.
        cpio.char_device("dev/console", 5, 1)?;
        Ok(Self {
            cpio,
            parts: Vec::new(),
        })
    }

    /// Adds a file.
    pub fn file(&mut self, path: &str, mode: u32, data: &[u8], why: &str) -> io::Result<()> {
        self.parts.push(Part {
            path: path.trim_start_matches('/').to_owned(),
            bytes: data.len() as u64,
            why: why.to_owned(),
            data: data.to_owned(),
        });
        self.cpio.file(path, mode, data)
    }

    /// Adds a program.
    ///
    /// # Errors
    /// It needs a dynamic loader or shared objects, which the initramfs does not have.
    pub fn program(&mut self, path: &str, data: &[u8], why: &str) -> Result<()> {
        ensure_static(data).with_context(|| format!("packing {path}"))?;
        Ok(self.file(path, 0o755, data, why)?)
    }

    /// Adds a symbolic link.
    pub fn symlink(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.cpio.symlink(path, target)
    }

    /// Adds modules with a modules.dep of their own, so that the initramfs's modprobe works. `why` says what wants a
    /// module by its name; one that it does not know is there for another one.
    pub fn modules(
        &mut self,
        release: &str,
        modules: &[LoadedModule],
        why: impl Fn(&str) -> Option<String>,
    ) -> io::Result<()> {
        let folder = format!("{MODULE_FOLDER}/{release}");
        let mut dep = String::new();
        for module in modules {
            let reason = why(&module.name).unwrap_or_else(|| {
                let needs = |m: &&LoadedModule| m.depends.contains(&module.name);
                modules
                    .iter()
                    .find(needs)
                    .map_or_else(String::new, |m| format!("for {}", m.name))
            });
            let path = format!("{folder}/{}.ko", module.name);
            self.file(&path, 0o644, &module.image, &reason)?;
            let packed = |d: &&String| modules.iter().any(|m| m.name == **d);
            let depends: Vec<String> = module
                .depends
                .iter()
                .filter(packed)
                .map(|d| format!(" {d}.ko"))
                .collect();
            dep.push_str(&format!("{}.ko:{}\n", module.name, depends.concat()));
        }
        self.file(
            &format!("{folder}/modules.dep"),
            0o644,
            dep.as_bytes(),
            "order of the modules",
        )
    }

    /// The finished archive, uncompressed.
    pub fn finish(self) -> io::Result<(Vec<u8>, Vec<Part>)> {
        Ok((self.cpio.finish()?, self.parts))
    }
}

/// Fails for an ELF program that is not static. What is no ELF file is a script.
fn ensure_static(data: &[u8]) -> Result<()> {
    use object::read::elf::{Dyn, ElfFile64, FileHeader, ProgramHeader};
    use object::{Endianness, elf};
    if !data.starts_with(b"\x7fELF") {
        return Ok(());
    }
    let file = ElfFile64::<Endianness>::parse(data).context("reading its ELF header")?;
    let endian = file.endian();
    let interpreter = file
        .elf_program_headers()
        .iter()
        .any(|s| s.p_type(endian) == elf::PT_INTERP);
    let sections = file.elf_header().sections(endian, data)?;
    let dynamic = sections.dynamic(endian, data)?.map(|(entries, _)| entries);
    let needed = dynamic
        .unwrap_or_default()
        .iter()
        .any(|e| e.tag32(endian) == Some(elf::DT_NEEDED));
    ensure!(
        !interpreter && !needed,
        "it is dynamically linked, and the initramfs has no shared objects: a static program is needed"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_when_dynamic_is_refused_and_static_is_taken() {
        let mut archive = Archive::new().unwrap();
        let sh = std::fs::read("/bin/sh").unwrap();
        let error = format!("{:#}", archive.program("x", &sh, "").unwrap_err());
        assert!(
            error.contains("packing x") && error.contains("dynamically"),
            "{error}"
        );
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        archive.program("y", &own, "").unwrap();
        archive.program("z", b"#!/bin/sh\n", "").unwrap();
    }
}
