// SPDX-License-Identifier: GPL-2.0-or-later
//! Layout of the crashed kernel's types, from the BTF in its memory.

use anyhow::{Context as _, Result, anyhow};
use modlogic::mkdfinfo::btf::{self, Btf, Index};
use std::collections::HashMap;
use vmcore::memory::Memory;
use vmcore::{Dump, VirtAddr};

/// Members that are read: a struct, then members, each inside the one before.
const MEMBERS: &[&str] = &[
    "cpuinfo_x86.x86_model_id",
    "hwerr_info.count",
    "mod_kallsyms.num_symtab",
    "mod_kallsyms.strtab",
    "mod_kallsyms.symtab",
    "module.arch.num_orcs",
    "module.arch.orc_unwind",
    "module.arch.orc_unwind_ip",
    "module.kallsyms",
    "module.list",
    "module.mem",
    "module.name",
    "module.taints",
    "module.version",
    "module_memory.base",
    "module_memory.size",
    "task_struct.comm",
    "task_struct.flags",
    "task_struct.pid",
    "task_struct.real_parent",
    "task_struct.tgid",
    "uts_namespace.name",
];
/// Enumerators that index the kernel's statistics.
const ENUMERATORS: &[&str] = &[
    "hwerr_error_type.HWERR_RECOV_MAX",
    "node_stat_item.NR_ANON_MAPPED",
    "node_stat_item.NR_FILE_PAGES",
    "node_stat_item.NR_PAGETABLE",
    "node_stat_item.NR_SHMEM",
    "node_stat_item.NR_SLAB_RECLAIMABLE_B",
    "node_stat_item.NR_SLAB_UNRECLAIMABLE_B",
    "zone_stat_item.NR_FREE_PAGES",
];

/// A member's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    offset: u64,
    size: u64,
}

/// Offsets, sizes and enumerators; a name that BTF does not have, or has twice with different answers, is missing.
#[derive(Debug, Default)]
pub struct Layout {
    members: HashMap<&'static str, Place>,
    sizes: HashMap<&'static str, u64>,
    enumerators: HashMap<&'static str, u64>,
}

impl Layout {
    /// Reads it from the dump.
    ///
    /// # Errors
    /// The kernel has no BTF, it is not in the dump, or it is damaged.
    pub fn read(dump: &Dump) -> Result<Layout> {
        Layout::of(&crate::mkdfinfo::dump_btf(dump)?).map_err(|e| anyhow!("BTF: {e:?}"))
    }

    fn of(blob: &[u8]) -> btf::Result<Layout> {
        let paths = MEMBERS.iter().chain(ENUMERATORS);
        let mut ids: HashMap<&str, Vec<u32>> = paths.map(|path| (first_of(path), vec![])).collect();
        let mut marks = vec![0; btf::INDEX_LEN];
        let index = Btf::parse(blob)?.index(&mut marks, |btf, ty| {
            let name = ids.iter_mut().find(|(name, _)| ty.is_named(btf, name));
            if let Some((_, ids)) = name {
                ids.push(ty.id);
            }
        })?;
        let ids_of = |path: &str| ids[first_of(path)].iter().copied();
        let mut layout = Layout::default();
        for &path in MEMBERS {
            layout.members.extend(
                agreed(ids_of(path).filter_map(|id| place(&index, id, path)))
                    .map(|place| (path, place)),
            );
            let size = agreed(ids_of(path).filter_map(|id| index.size(id).ok()));
            layout.sizes.extend(size.map(|size| (first_of(path), size)));
        }
        for &path in ENUMERATORS {
            let value = agreed(ids_of(path).filter_map(|id| {
                let value = index.enumerator(id, path.split_once('.')?.1).ok()??;
                u64::try_from(value).ok()
            }));
            layout.enumerators.extend(value.map(|value| (path, value)));
        }
        Ok(layout)
    }

    /// `offsetof(struct, member)` for `struct.member`.
    ///
    /// # Errors
    /// This kernel has no such member.
    pub fn offset(&self, path: &str) -> Result<u64> {
        let place = self.members.get(path);
        place
            .map(|place| place.offset)
            .with_context(|| format!("this kernel's BTF has no {path}"))
    }

    /// `sizeof` a member.
    ///
    /// # Errors
    /// As [`Layout::offset`].
    pub fn member_size(&self, path: &str) -> Result<u64> {
        self.offset(path)?;
        Ok(self.members[path].size)
    }

    /// `sizeof` a struct.
    ///
    /// # Errors
    /// This kernel has no such struct.
    pub fn size(&self, name: &str) -> Result<u64> {
        let size = self.sizes.get(name).copied();
        size.with_context(|| format!("this kernel's BTF has no {name}"))
    }

    /// The value of `enum.ENUMERATOR`.
    ///
    /// # Errors
    /// This kernel has no such enumerator.
    pub fn enumerator(&self, path: &str) -> Result<u64> {
        let value = self.enumerators.get(path).copied();
        value.with_context(|| format!("this kernel's BTF has no {path}"))
    }

    /// The address of a member of the struct at `base`.
    ///
    /// # Errors
    /// As [`Layout::offset`].
    pub fn at(&self, base: VirtAddr, path: &str) -> Result<VirtAddr> {
        Ok(VirtAddr(base.0.wrapping_add(self.offset(path)?)))
    }

    /// A 64-bit member of the struct at `base`: a pointer or a long.
    ///
    /// # Errors
    /// As [`Layout::offset`], or the dump does not have it.
    pub fn u64(&self, dump: &Dump, base: VirtAddr, path: &str) -> Result<u64> {
        let read = dump.read_u64(self.at(base, path)?);
        read.with_context(|| format!("reading {path} at {:#x}", base.0))
    }

    /// A 32-bit member of the struct at `base`.
    ///
    /// # Errors
    /// As [`Layout::u64`].
    pub fn u32(&self, dump: &Dump, base: VirtAddr, path: &str) -> Result<u32> {
        let read = dump.read_u32(self.at(base, path)?);
        read.with_context(|| format!("reading {path} at {:#x}", base.0))
    }

    /// A char array that is a member of the struct at `base`.
    ///
    /// # Errors
    /// As [`Layout::u64`].
    pub fn text(&self, dump: &Dump, base: VirtAddr, path: &str) -> Result<String> {
        let bytes = self.member_size(path)?.min(4096) as usize;
        let raw = dump.read_bytes(self.at(base, path)?, bytes);
        Ok(text(&raw.with_context(|| {
            format!("reading {path} at {:#x}", base.0)
        })?))
    }
}

/// The characters before the first NUL.
pub(super) fn text(raw: &[u8]) -> String {
    let end = raw.iter().position(|&b| b == 0).unwrap_or(raw.len());
    String::from_utf8_lossy(&raw[..end]).into_owned()
}

fn first_of(path: &str) -> &str {
    path.split('.').next().unwrap_or(path)
}

/// The one answer of all; none when they differ.
fn agreed<T: PartialEq>(mut answers: impl Iterator<Item = T>) -> Option<T> {
    let first = answers.next()?;
    answers.all(|other| other == first).then_some(first)
}

fn place(index: &Index<'_, '_>, id: u32, path: &str) -> Option<Place> {
    let (mut id, mut bits) = (id, 0u64);
    for name in path.split('.').skip(1) {
        let member = index.member(id, name).ok()??;
        bits = bits.checked_add(member.offset_bits)?;
        id = member.type_id;
    }
    Some(Place {
        offset: (bits % 8 == 0).then_some(bits / 8)?,
        size: index.size(id).ok()?,
    })
}
