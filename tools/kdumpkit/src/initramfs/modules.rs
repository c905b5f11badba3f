// SPDX-License-Identifier: GPL-2.0-or-later
//! Kernel modules on disk: which files a module needs, and their bytes as the kernel takes them.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// One module file together with what it depends on.
#[derive(Debug, Clone)]
struct Module {
    file: PathBuf,
    depends: Vec<String>,
}

/// The modules of one kernel release: the distribution's own, and more that were built for it.
#[derive(Debug, Clone, Default)]
pub struct ModuleTree {
    modules: BTreeMap<String, Module>,
    builtin: Vec<String>,
}

/// A module in load order, unpacked.
#[derive(Debug)]
pub struct LoadedModule {
    /// Name as the kernel knows it (`virtio_blk`).
    pub name: String,
    /// Names of the modules that must be loaded before it.
    pub depends: Vec<String>,
    /// The uncompressed ELF object.
    pub image: Vec<u8>,
}

impl ModuleTree {
    /// Reads `modules.dep` and `modules.builtin` of `lib/modules/RELEASE`.
    ///
    /// # Errors
    /// `modules.dep` is missing or not text; the message names it and says to run depmod.
    pub fn open(folder: &Path) -> Result<Self> {
        let dep = folder.join("modules.dep");
        let text = fs::read_to_string(&dep)
            .with_context(|| format!("reading {} (run depmod)", dep.display()))?;
        let mut tree = Self::default();
        for line in text.lines() {
            let Some((file, depends)) = line.split_once(':') else {
                continue;
            };
            let depends = depends.split_whitespace().map(module_name).collect();
            tree.modules.insert(
                module_name(file),
                Module {
                    file: folder.join(file),
                    depends,
                },
            );
        }
        let builtin = fs::read_to_string(folder.join("modules.builtin")).unwrap_or_default();
        tree.builtin = builtin.lines().map(module_name).collect();
        Ok(tree)
    }

    /// Adds every module file of `folder` (a build's output); these win over the distribution's.
    pub fn overlay(&mut self, folder: &Path) -> Result<()> {
        let entries = fs::read_dir(folder).with_context(|| {
            format!(
                "reading the built modules in {} (run make modules)",
                folder.display()
            )
        })?;
        for entry in entries {
            let file = entry?.path();
            let name = file
                .file_name()
                .and_then(|n| n.to_str())
                .unwrap_or_default();
            if name.ends_with(".ko") || name.ends_with(".ko.xz") {
                let depends = depends_of(&read_module(&file)?)
                    .with_context(|| format!("reading the dependencies of {}", file.display()))?;
                self.modules
                    .insert(module_name(name), Module { file, depends });
            }
        }
        Ok(())
    }

    /// Whether there is a module of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.modules.contains_key(&name.replace('-', "_"))
    }

    /// Unpacks `names` and all they depend on, in an order in which they can be loaded.
    ///
    /// # Errors
    /// A name is neither a module of this release nor built into it; a file cannot be read or unpacked.
    pub fn resolve<'n>(
        &self,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Result<Vec<LoadedModule>> {
        let mut order = Vec::new();
        for name in names {
            self.visit(&name.replace('-', "_"), &mut order, 0)?;
        }
        order.iter().map(|name| self.load(name)).collect()
    }

    fn visit(&self, name: &str, order: &mut Vec<String>, depth: usize) -> Result<()> {
        if order.iter().any(|n| n == name) || self.builtin.iter().any(|n| n == name) {
            return Ok(());
        }
        let Some(module) = self.modules.get(name) else {
            bail!("module {name} is neither in this kernel's modules.dep nor built in");
        };
        if depth > 32 {
            bail!("module {name}: the dependencies form a circle");
        }
        for dependency in &module.depends {
            self.visit(dependency, order, depth + 1)?;
        }
        order.push(name.to_owned());
        Ok(())
    }

    /// The uncompressed ELF object of module `name`.
    ///
    /// # Errors
    /// There is no such module, or its file cannot be read or unpacked.
    pub fn image(&self, name: &str) -> Result<Vec<u8>> {
        let module = self
            .modules
            .get(name)
            .with_context(|| format!("no module {name} in modules.dep"))?;
        read_module(&module.file)
    }

    fn load(&self, name: &str) -> Result<LoadedModule> {
        let module = &self.modules[name];
        Ok(LoadedModule {
            name: name.to_owned(),
            depends: module.depends.clone(),
            image: read_module(&module.file)?,
        })
    }
}

/// `kernel/drivers/block/virtio-blk.ko.xz` → `virtio_blk`.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

/// Without debugging information, which is most of what a fresh build has. A signed module stays as it is: the signature is
/// over all of it.
fn strip(image: Vec<u8>) -> Vec<u8> {
    if image.ends_with(b"~Module signature appended~\n") {
        return image;
    }
    let stripped = || -> Option<Vec<u8>> {
        let mut builder = object::build::elf::Builder::read(image.as_slice()).ok()?;
        for section in builder.sections.iter_mut() {
            let name = section.name.to_string();
            section.delete = name.starts_with(".debug_") || name.starts_with(".rela.debug_");
        }
        builder.delete_orphans();
        let mut out = Vec::new();
        builder.write(&mut out).ok()?;
        Some(out)
    };
    stripped().unwrap_or(image)
}

fn read_module(file: &Path) -> Result<Vec<u8>> {
    Ok(strip(unpack(file)?))
}

fn unpack(file: &Path) -> Result<Vec<u8>> {
    let packed = fs::read(file).with_context(|| format!("reading module {}", file.display()))?;
    let unpacking = || format!("unpacking module {}", file.display());
    match file.extension().and_then(|e| e.to_str()) {
        Some("xz") => {
            let mut image = Vec::new();
            lzma_rust2::XzReader::new(packed.as_slice(), true)
                .read_to_end(&mut image)
                .with_context(unpacking)?;
            Ok(image)
        }
        Some("zst") => zstd::decode_all(packed.as_slice()).with_context(unpacking),
        _ => Ok(packed),
    }
}

/// The `depends=` entry of `.modinfo`.
fn depends_of(image: &[u8]) -> Result<Vec<String>> {
    use object::{Object, ObjectSection};
    let elf = object::File::parse(image)?;
    let section = elf
        .section_by_name(".modinfo")
        .context("no .modinfo section: not a kernel module")?;
    let info = section.data()?;
    let depends = info
        .split(|b| *b == 0)
        .find_map(|entry| entry.strip_prefix(b"depends="))
        .unwrap_or_default();
    let depends = std::str::from_utf8(depends)?;
    Ok(depends
        .split(',')
        .filter(|d| !d.is_empty())
        .map(module_name)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_name_when_path_or_dash_is_the_kernels_name() {
        assert_eq!(
            module_name("kernel/drivers/block/virtio-blk.ko.xz"),
            "virtio_blk"
        );
        assert_eq!(module_name("lkdtm.ko"), "lkdtm");
    }

    #[test]
    fn visit_when_unknown_names_the_module() {
        let tree = ModuleTree::default();
        let error = tree.resolve(["nosuch"]).unwrap_err().to_string();
        assert!(error.contains("module nosuch is neither"), "{error}");
    }

    #[test]
    fn visit_when_circular_ends_with_an_error() {
        let mut tree = ModuleTree::default();
        for (a, b) in [("a", "b"), ("b", "a")] {
            tree.modules.insert(
                a.into(),
                Module {
                    file: PathBuf::new(),
                    depends: vec![b.into()],
                },
            );
        }
        assert!(
            tree.resolve(["a"])
                .unwrap_err()
                .to_string()
                .contains("circle")
        );
    }
}
