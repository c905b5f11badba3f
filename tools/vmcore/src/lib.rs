// SPDX-License-Identifier: GPL-2.0-or-later
//! Linux crash dumps: readers, address translation, page classes, writers.
//!
//! The rooms, from the bytes of a file to answers about a crash:
//!
//! * [`source`]: bytes at offsets; [`notes`], [`codec`]: parts that several formats share;
//! * [`image`]: what every format gives; [`elf`], [`kdump`], [`split`]: the formats; [`flattened`]: a file within a file;
//! * [`dump`]: a dump as a whole, with [`paging`] to reach virtual addresses;
//! * [`dmesg`], [`prstatus`], [`symbols`]: what the crashed kernel left in its memory;
//! * [`pages`]: what each page is used for, and which ones a dump level keeps; [`write`]: the files that come out.
//!
//! Every byte of a dump is hostile: lengths are checked against the file before memory is taken for them, every loop
//! has a bound that the file does not choose, and what is wrong comes back as an [`Error`].

pub mod addr;
mod bytes;
pub mod codec;
pub mod dmesg;
pub mod dump;
pub mod elf;
pub mod error;
pub mod flattened;
pub mod image;
pub mod kdump;
pub mod memory;
pub mod notes;
pub mod pages;
pub mod paging;
pub mod prstatus;
pub mod source;
pub mod split;
pub mod symbols;
pub mod write;

pub use addr::{Pfn, PhysAddr, VirtAddr};
pub use dump::Dump;
pub use error::{Absence, Error, Result};
pub use image::{Format, Image};
pub use prstatus::{PrStatus, Regs};
pub use symbols::{Symbol, Symbols};
