// SPDX-License-Identifier: GPL-2.0-or-later
//! ORC unwind tables, read in the dump: how to get from one place in the code to its caller.
//!
//! Two parallel arrays, sorted by address: 32-bit distances from each entry to the code it is about, and 6-byte
//! descriptions (arch/x86/include/asm/orc_types.h of the kernel; the meaning is in Documentation/arch/x86/orc-unwinder.rst).

use vmcore::memory::Memory;
use vmcore::{Dump, VirtAddr};

/// Entries of one table; a kernel with everything built in has 2 million.
const MAX_ENTRIES: u64 = 16 << 20;
const ENTRY_BYTES: u64 = 6;

/// One table: the kernel's or a module's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    ips: VirtAddr,
    entries: VirtAddr,
    count: u64,
}

/// Where a value is, relative to the registers of the frame that is being left (`ORC_REG_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    Undefined,
    Ax,
    Dx,
    Sp,
    Bp,
    Di,
    R10,
    R13,
    PrevSp,
    SpIndirect,
    BpIndirect,
}

/// What lies at the stack pointer that was found (`ORC_TYPE_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Undefined,
    /// Nothing: the code has no caller.
    End,
    /// A return address below it.
    Call,
    /// A whole struct pt_regs: an interrupt, exception or system call.
    Regs,
    /// Only what the CPU pushes by itself.
    IretFrame,
}

/// How to leave one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub sp: Base,
    pub sp_offset: i64,
    pub bp: Base,
    pub bp_offset: i64,
    pub kind: Kind,
    /// The caller was interrupted: its address is that of an instruction, not the one behind a call.
    pub signal: bool,
}

impl Table {
    /// The table of the kernel image. None when the kernel has another unwinder.
    pub fn of_kernel(dump: &Dump) -> Option<Table> {
        let at = |name| dump.symbols().ok()?.address(name);
        let (ips, end) = (at("__start_orc_unwind_ip")?, at("__stop_orc_unwind_ip")?);
        let count = end.0.checked_sub(ips.0)? / 4;
        Table::new(ips, at("__start_orc_unwind")?, count)
    }

    /// A table of `count` entries.
    pub fn new(ips: VirtAddr, entries: VirtAddr, count: u64) -> Option<Table> {
        (1..=MAX_ENTRIES).contains(&count).then_some(Table {
            ips,
            entries,
            count,
        })
    }

    /// What holds for the instruction at `ip`: the last entry that does not begin behind it.
    pub fn find(&self, dump: &Dump, ip: u64) -> Option<Entry> {
        let address = |i: u64| {
            let at = self.ips.0.wrapping_add(4 * i);
            let distance = dump.read_u32(VirtAddr(at)).ok()? as i32;
            Some(at.wrapping_add_signed(distance.into()))
        };
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match address(middle)? <= ip {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        let at = self
            .entries
            .0
            .wrapping_add(ENTRY_BYTES * low.checked_sub(1)?);
        let mut raw = [0; ENTRY_BYTES as usize];
        dump.read_virt(VirtAddr(at), &mut raw).ok()?;
        Entry::parse(raw)
    }
}

impl Entry {
    fn parse(raw: [u8; 6]) -> Option<Entry> {
        let signed = |at: usize| i16::from_le_bytes([raw[at], raw[at + 1]]).into();
        let bits = u16::from_le_bytes([raw[4], raw[5]]);
        Some(Entry {
            sp: base(bits & 15)?,
            sp_offset: signed(0),
            bp: base(bits >> 4 & 15)?,
            bp_offset: signed(2),
            kind: match bits >> 8 & 7 {
                0 => Kind::Undefined,
                1 => Kind::End,
                2 => Kind::Call,
                3 => Kind::Regs,
                4 => Kind::IretFrame,
                _ => return None,
            },
            signal: bits >> 11 & 1 == 1,
        })
    }
}

fn base(number: u16) -> Option<Base> {
    Some(match number {
        0 => Base::Undefined,
        1 => Base::Ax,
        2 => Base::Dx,
        3 => Base::Sp,
        4 => Base::Bp,
        5 => Base::Di,
        6 => Base::R10,
        7 => Base::R13,
        8 => Base::PrevSp,
        9 => Base::SpIndirect,
        10 => Base::BpIndirect,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_when_bits_are_packed_is_taken_apart() {
        // sp = sp + 16, bp = *(previous sp - 16), a call.
        let call = Entry::parse([16, 0, 0xf0, 0xff, 0x83, 0x02]).unwrap();
        assert_eq!((call.sp, call.sp_offset), (Base::Sp, 16));
        assert_eq!((call.bp, call.bp_offset), (Base::PrevSp, -16));
        assert_eq!((call.kind, call.signal), (Kind::Call, false));
        let interrupt = Entry::parse([0, 0, 0, 0, 0x03, 0x0b]).unwrap();
        assert_eq!((interrupt.kind, interrupt.signal), (Kind::Regs, true));
        assert_eq!(
            Entry::parse([0, 0, 0, 0, 0x0f, 0x02]),
            None,
            "no such register"
        );
        assert_eq!(Entry::parse([0, 0, 0, 0, 0x03, 0x07]), None, "no such type");
    }
}
