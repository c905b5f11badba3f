// SPDX-License-Identifier: GPL-2.0-or-later
//! mkdfinfo.ko: the text that mkdfinfo publishes.

#[path = "../../../mkdfinfo/btf.rs"]
pub mod btf;
#[path = "../../../mkdfinfo/collect.rs"]
pub mod collect;
#[path = "../../../mkdfinfo/kallsyms.rs"]
pub mod kallsyms;
#[path = "../../../mkdfinfo/keys.rs"]
pub mod keys;
#[path = "../../../mkdfinfo/note.rs"]
pub mod note;
#[path = "../../../mkdfinfo/text.rs"]
pub mod text;
