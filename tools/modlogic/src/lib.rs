// SPDX-License-Identifier: GPL-2.0-or-later
//! The pure, `core`-only halves of the kernel modules, compiled for the host.
//!
//! Kbuild compiles the same files into the modules. Here they get unit tests, property tests and Miri, and
//! kdumpkit gets their tables (crash points, crash types), so that each table is written once.

pub mod lkdtm;
pub mod mkdfinfo;
pub mod reset;
