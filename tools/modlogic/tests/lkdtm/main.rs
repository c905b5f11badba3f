// SPDX-License-Identifier: GPL-2.0-or-later
//! lkdtm.ko's tables, names, countdown and filters.

#![cfg(not(loom))]

mod countdown;
mod docs;
mod filter;
mod points;
mod spec;
mod types;
