// SPDX-License-Identifier: GPL-2.0-or-later
//! The table of keys as documentation: Documentation/mkdfinfo-keys.rst is its output.

use modlogic::mkdfinfo::keys::{Group, How, KEYS, Key, Scope};
use std::fmt::Write as _;

const HEAD: &str = "\
.. SPDX-License-Identifier: GPL-2.0
.. Made by `kdumpkit mkdfinfo --keys`; do not edit.

=================
Keys of mkdfinfo
=================

\"Boot\" keys are true for one boot or machine only: they are in mkdfinfo_boot, not in mkdfinfo. Sources in parentheses
know the key only in some kernels. Where several know it, they must agree, otherwise the key is withheld. \"headers\" are
those that mkdfinfo.ko was compiled with; \"DWARF\" is ``-x VMLINUX``.
";

/// All keys, one table for each purpose.
pub fn table() -> String {
    let mut out = HEAD.to_owned();
    let mut group = None;
    for key in KEYS {
        if group != Some(key.group) {
            group = Some(key.group);
            let title = title(key.group);
            // Writing to a String cannot fail.
            let _ = write!(
                out,
                "\n{title}\n{}\n\n.. list-table::\n   :header-rows: 1\n\n   * - key\n     - value\n     - sources\n",
                "-".repeat(title.len())
            );
        }
        let _ = writeln!(
            out,
            "   * - ``{}({})``{}\n     - {}\n     - {}",
            key.kind.word(),
            key.name,
            if key.scope == Scope::Boot {
                " (boot)"
            } else {
                ""
            },
            meaning(key),
            sources(key)
        );
    }
    out
}

fn title(group: Group) -> &'static str {
    match group {
        Group::MemoryModel => "Finding the struct page of a frame",
        Group::PageClass => "Classifying pages",
        Group::Translation => "Translating virtual addresses",
        Group::Dmesg => "The kernel log",
        Group::Names => "Names: the kernel's symbols, types and modules",
        Group::Tasks => "Tasks and registers",
        Group::HardwareErrors => "Recovered hardware errors",
    }
}

fn meaning(key: &Key) -> String {
    match key.how {
        How::Address(symbol) => format!("``&{symbol}``"),
        How::Element(array, (_, index), _) => format!("``&{array}[{index}]``"),
        How::Size(ty) => format!("``sizeof({ty})``"),
        How::Offset(ty, member) => format!("``offsetof({ty}, {member})``"),
        How::ArrayLen(ty, member) => format!("``ARRAY_SIZE({ty}.{member})``"),
        How::VariableLen(name) => format!("``ARRAY_SIZE({name})``"),
        How::MemberSize(ty, member) => format!("``sizeof({ty}.{member})``"),
        How::Enumerator(ty, name) => format!("``{name}`` of ``enum {ty}``"),
        How::Mask(ty, name) => format!("``1 << {name}`` of ``enum {ty}``"),
        How::PageType(ty, name) => format!("``(int)({name} << 24)`` of ``enum {ty}``"),
        How::Note => "what the kernel's note says".into(),
    }
}

fn sources(key: &Key) -> String {
    let mut all = Vec::new();
    match key.how {
        How::Address(_) | How::Element(..) => all.extend(["kallsyms", "DWARF"]),
        How::VariableLen(_) => all.extend(["headers", "DWARF"]),
        How::Note => {}
        _ => all.extend(["BTF", "DWARF", "(headers)"]),
    }
    if key.note.is_some() {
        all.push(if key.how == How::Note {
            "note"
        } else {
            "(note)"
        });
    }
    if matches!(key.name, "SECTION_SIZE_BITS" | "KERNEL_IMAGE_SIZE") {
        all.push("headers");
    }
    all.join(", ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn documentation_when_keys_change_is_made_again() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../Documentation/mkdfinfo-keys.rst"
        );
        let written = std::fs::read_to_string(path).expect(path);
        assert!(
            written == super::table(),
            "Documentation/mkdfinfo-keys.rst is out of date: kdumpkit mkdfinfo --keys >Documentation/mkdfinfo-keys.rst"
        );
    }
}
