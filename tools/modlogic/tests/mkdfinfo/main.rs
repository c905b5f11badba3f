// SPDX-License-Identifier: GPL-2.0-or-later
//! mkdfinfo.ko's pure rooms on the host: readers of hostile data, the key table, agreement of sources, the text.

mod blob;
mod btf;
mod collect;
mod kallsyms;
mod text;
