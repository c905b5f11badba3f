// SPDX-License-Identifier: GPL-2.0-or-later
//! What a dump filter or debugger must know about one kernel build: the VMCOREINFO text format, BTF, kallsyms, DWARF.
//!
//! * [`Vmcoreinfo`]: the text that the kernel puts into its VMCOREINFO note, that `makedumpfile -g` writes, that
//!   `makedumpfile -i` and `kdumpkit filter -i` read, and that mkdfinfo.ko publishes; [`Key`] is the left side of a line;
//! * [`Facts`]: the values of all keys of [`modlogic::mkdfinfo::keys`], asked from several sources that must agree;
//! * [`live`]: the running kernel's note and symbols; [`vmlinux`]: a kernel file with debugging information.

pub mod facts;
mod key;
pub mod live;
mod overlay;
mod text;
pub mod vmlinux;

pub use facts::{Conflict, Facts};
pub use key::{Key, Kind};
pub use overlay::OverlayError;
pub use text::{Entry, Error, MAX_BYTES, MAX_LINE_BYTES, ParseError, Value, Vmcoreinfo};
