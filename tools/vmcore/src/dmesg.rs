// SPDX-License-Identifier: GPL-2.0-or-later
//! The kernel log: the lockless printk ring buffer of 5.10 and later (kernel/printk/printk_ringbuffer.h).

use crate::addr::VirtAddr;
use crate::error::{Error, Result};
use crate::memory::{Keys, Memory, field, field_u32, field_u64};
use std::fmt::Write as _;

/// log_buf_len= goes up to 2^31 bytes.
const MAX_TEXT_BITS: u32 = 31;
/// One descriptor for 32 bytes of text.
const MAX_DESC_BITS: u32 = MAX_TEXT_BITS - 5;
/// After so many records in a row that are not there, the ring is damaged rather than the records.
const MAX_LOST_RECORDS: u32 = 1 << 12;
const STATE_SHIFT: u32 = 62;
const ID_MASK: u64 = (1 << STATE_SHIFT) - 1;
const COMMITTED: u64 = 1;
const FINALIZED: u64 = 2;
/// Each block starts with the 8-byte id of its descriptor.
const BLOCK_ID_BYTES: u64 = 8;

/// The ring as found in the dump.
struct Ring<'a, M: ?Sized> {
    memory: &'a M,
    keys: Keys<'a>,
    desc_bits: u32,
    descs: u64,
    infos: u64,
    head_id: u64,
    tail_id: u64,
    text_bits: u32,
    text: u64,
}

/// The kernel log as dmesg prints it: `[seconds.micros] text`, one line a line of text.
///
/// Records that a writer had reserved but not committed when the machine crashed are left out, as are records whose
/// text was already overwritten or is not in the dump.
///
/// # Errors
/// A missing VMCOREINFO key, an impossible ring, or the ring itself not in the dump.
pub fn dmesg(memory: &(impl Memory + ?Sized)) -> Result<String> {
    let ring = Ring::open(memory)?;
    let mut out = String::new();
    let count = 1 << ring.desc_bits;
    let used = ring.head_id.wrapping_sub(ring.tail_id) & ID_MASK;
    let mut lost = 0;
    for step in 0..=used.min(count - 1) {
        let id = ring.tail_id.wrapping_add(step) & ID_MASK;
        match ring.record(id) {
            Ok(Some((nanos, text))) => {
                lost = 0;
                append(&mut out, nanos, &text);
            }
            // One damaged or missing record must not hide the others.
            Ok(None) => lost += 1,
            Err(error) if error.is_of_memory() => lost += 1,
            Err(error) => return Err(error),
        }
        if lost == MAX_LOST_RECORDS {
            break;
        }
    }
    Ok(out)
}

fn append(out: &mut String, nanos: u64, text: &[u8]) {
    let (seconds, micros) = (nanos / 1_000_000_000, nanos % 1_000_000_000 / 1000);
    for line in String::from_utf8_lossy(text).split('\n') {
        // Writing to a String cannot fail.
        let _ = write!(out, "[{seconds:5}.{micros:06}] ");
        out.extend(line.chars().map(|c| match c {
            '\t' => '\t',
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        }));
        out.push('\n');
    }
}

impl<'a, M: Memory + ?Sized> Ring<'a, M> {
    fn open(memory: &'a M) -> Result<Ring<'a, M>> {
        let keys = Keys {
            info: memory.vmcoreinfo(),
            purpose: "reading the kernel log",
        };
        let at = memory.read_u64(keys.symbol("prb")?)?;
        let raw = memory.read_bytes(VirtAddr(at), keys.size("printk_ringbuffer")?)?;
        let desc_ring = keys.offset("printk_ringbuffer.desc_ring")?;
        let text_ring = keys.offset("printk_ringbuffer.text_data_ring")?;
        let counter = keys.offset("atomic_long_t.counter")?;
        let desc = |member: &str| Ok::<_, Error>(desc_ring + keys.offset(member)?);
        let text = |member: &str| Ok::<_, Error>(text_ring + keys.offset(member)?);
        let desc_bits = field_u32(&raw, desc("prb_desc_ring.count_bits")?, "count_bits")?;
        let text_bits = field_u32(&raw, text("prb_data_ring.size_bits")?, "size_bits")?;
        if desc_bits > MAX_DESC_BITS || text_bits > MAX_TEXT_BITS {
            return Err(Error::BadValue {
                what: "size of the printk ring buffer (bits)".into(),
                value: desc_bits.max(text_bits).into(),
                valid: "at most 26 for descriptors, 31 for text",
            });
        }
        Ok(Ring {
            desc_bits,
            text_bits,
            descs: field_u64(&raw, desc("prb_desc_ring.descs")?, "descs")?,
            infos: field_u64(&raw, desc("prb_desc_ring.infos")?, "infos")?,
            head_id: field_u64(&raw, desc("prb_desc_ring.head_id")? + counter, "head_id")?,
            tail_id: field_u64(&raw, desc("prb_desc_ring.tail_id")? + counter, "tail_id")?,
            text: field_u64(&raw, text("prb_data_ring.data")?, "data")?,
            memory,
            keys,
        })
    }

    /// Time stamp and text of a record, if its descriptor still belongs to `id` and is readable.
    fn record(&self, id: u64) -> Result<Option<(u64, Vec<u8>)>> {
        let index = id & ((1 << self.desc_bits) - 1);
        let desc = self.element(self.descs, index, "prb_desc")?;
        let state_at =
            self.keys.offset("prb_desc.state_var")? + self.keys.offset("atomic_long_t.counter")?;
        let state = field_u64(&desc, state_at, "prb_desc.state_var")?;
        if state & ID_MASK != id || !matches!(state >> STATE_SHIFT, COMMITTED | FINALIZED) {
            return Ok(None);
        }
        let lpos = self.keys.offset("prb_desc.text_blk_lpos")?;
        let begin_at = lpos + self.keys.offset("prb_data_blk_lpos.begin")?;
        let next_at = lpos + self.keys.offset("prb_data_blk_lpos.next")?;
        let begin = field_u64(&desc, begin_at, "prb_data_blk_lpos.begin")?;
        let next = field_u64(&desc, next_at, "prb_data_blk_lpos.next")?;
        let info = self.element(self.infos, index, "printk_info")?;
        let nanos_at = self.keys.offset("printk_info.ts_nsec")?;
        let nanos = field_u64(&info, nanos_at, "printk_info.ts_nsec")?;
        let text_len_at = self.keys.offset("printk_info.text_len")?;
        let text_len = u16::from_le_bytes(field(&info, text_len_at, "printk_info.text_len")?);
        let Some((at, bytes)) = self.block(begin, next) else {
            return Ok(None);
        };
        let bytes = bytes.min(text_len.into()) as usize;
        let text = self.memory.read_bytes(VirtAddr(at), bytes)?;
        Ok(Some((nanos, text)))
    }

    fn element(&self, array: u64, index: u64, name: &str) -> Result<Vec<u8>> {
        let size = self.keys.size(name)?;
        let at = array.wrapping_add(index * size as u64);
        self.memory.read_bytes(VirtAddr(at), size)
    }

    /// Address and room of a record's text; none when it has been overwritten or makes no sense.
    fn block(&self, begin: u64, next: u64) -> Option<(u64, u64)> {
        /// Both positions of an empty line; other odd positions mean that the text was lost.
        const EMPTY_LINE: u64 = 3;
        if begin & 1 == 1 && next & 1 == 1 {
            return (begin == EMPTY_LINE && next == EMPTY_LINE).then_some((self.text, 0));
        }
        if (begin | next) % BLOCK_ID_BYTES != 0 {
            return None;
        }
        let size = 1u64 << self.text_bits;
        let wrap = |lpos: u64| lpos >> self.text_bits;
        let last = next.wrapping_sub(1);
        let (start, bytes) = if wrap(begin) == wrap(last) {
            (begin & (size - 1), next.wrapping_sub(begin))
        } else if wrap(begin.wrapping_add(size)) == wrap(last) {
            // The block would have crossed the end, so it was put at the start.
            (0, next & (size - 1))
        } else {
            return None;
        };
        let text_bytes = bytes
            .checked_sub(BLOCK_ID_BYTES)
            .filter(|&bytes| bytes > 0)?;
        let fits = start + bytes <= size;
        fits.then(|| (self.text.wrapping_add(start + BLOCK_ID_BYTES), text_bytes))
    }
}
