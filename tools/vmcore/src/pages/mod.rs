// SPDX-License-Identifier: GPL-2.0-or-later
//! Which pages of a dump belong into the filtered one.
//!
//! [`layout`] is what must be known about `struct page`, [`memmap`] finds the structures, [`class`] says what a page
//! is used for, [`level`] which uses a dump level leaves out, [`scan`] goes through all of RAM and fills a [`map`].

pub mod class;
pub mod layout;
pub mod level;
pub mod map;
pub mod memmap;
pub mod scan;

pub use class::{Class, Classifier};
pub use layout::PageLayout;
pub use level::Level;
pub use map::{BLOCK_PFNS, PageMap};
pub use memmap::MemMap;
pub use scan::{Scan, Stats};
