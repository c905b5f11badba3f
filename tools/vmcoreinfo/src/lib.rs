// SPDX-License-Identifier: GPL-2.0-or-later
//! What a dump filter or debugger must know about one kernel build: the VMCOREINFO text format, BTF, kallsyms.
//!
//! * [`Vmcoreinfo`]: the text that the kernel puts into its VMCOREINFO note, that `makedumpfile -g` writes, that
//!   `makedumpfile -i` and `kdumpkit filter -i` read, and that mkdfinfo.ko publishes;
//! * [`Key`]: the typed name of one line of it.

mod key;
mod overlay;
mod text;

pub use key::{Key, Kind};
pub use overlay::OverlayError;
pub use text::{Entry, Error, MAX_BYTES, MAX_LINE_BYTES, ParseError, Value, Vmcoreinfo};
