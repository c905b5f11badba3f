// SPDX-License-Identifier: GPL-2.0-or-later
//! The crash-loop guard: counts boots in a row that loaded early and never came up.
//!
//! The first kernel counts, before it loads: the capture kernel may be the one that crashes. So a boot that is switched off
//! before it came up counts as well, which costs at most one early load too many not made.

use super::store::Store;
use anyhow::Result;

/// Length of a count as it is stored.
pub const RECORD_BYTES: usize = 32;
const MAGIC: &[u8; 16] = b"kdumpkit early 1";

/// What the guard says to a boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Load; this is boot number `boot` in a row.
    Load {
        /// 1 for the first.
        boot: u32,
    },
    /// Do not load: so many boots in a row never came up.
    Stop {
        /// How many.
        boots: u32,
    },
}

/// Counts this boot.
///
/// # Errors
/// The store can be neither read nor written.
pub fn begin(store: &dyn Store, limit: u32) -> Result<Answer> {
    let boots = store.read()?.map_or(0, |bytes| decode(&bytes));
    if boots >= limit {
        return Ok(Answer::Stop { boots });
    }
    let boot = boots + 1;
    store.write(&encode(boot))?;
    Ok(Answer::Load { boot })
}

/// The machine is up: the next boot is the first again.
///
/// # Errors
/// The store cannot be written.
pub fn came_up(store: &dyn Store) -> Result<()> {
    match store.read()?.map_or(0, |bytes| decode(&bytes)) {
        0 => Ok(()),
        _ => store.clear(),
    }
}

/// Does a store hold a count, or nothing? Anything else is somebody's data.
#[must_use]
pub fn is_ours(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC) || bytes.iter().all(|byte| *byte == 0)
}

/// Magic, count, its complement, zeroes.
fn encode(count: u32) -> [u8; RECORD_BYTES] {
    let mut bytes = [0; RECORD_BYTES];
    bytes[..16].copy_from_slice(MAGIC);
    bytes[16..20].copy_from_slice(&count.to_le_bytes());
    bytes[20..24].copy_from_slice(&(!count).to_le_bytes());
    bytes
}

/// A record that makes no sense counts as none: the guard must never be what keeps a machine from being captured.
fn decode(bytes: &[u8]) -> u32 {
    let word = |at: usize| -> Option<u32> {
        let word = bytes.get(at..at + 4)?;
        Some(u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
    };
    match (word(16), word(20)) {
        (Some(count), Some(check)) if bytes.starts_with(MAGIC) && check == !count => count,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[derive(Default)]
    struct Memory(RefCell<Option<Vec<u8>>>);

    impl Store for Memory {
        fn read(&self) -> Result<Option<Vec<u8>>> {
            Ok(self.0.borrow().clone())
        }
        fn write(&self, record: &[u8]) -> Result<()> {
            *self.0.borrow_mut() = Some(record.to_vec());
            Ok(())
        }
        fn clear(&self) -> Result<()> {
            *self.0.borrow_mut() = None;
            Ok(())
        }
        fn place(&self) -> String {
            "memory".into()
        }
    }

    #[test]
    fn begin_when_boots_never_come_up_stops_at_the_limit() {
        let store = Memory::default();
        let answers: Vec<Answer> = (0..4).map(|_| begin(&store, 2).unwrap()).collect();
        let stop = Answer::Stop { boots: 2 };
        assert_eq!(
            answers,
            [
                Answer::Load { boot: 1 },
                Answer::Load { boot: 2 },
                stop,
                stop
            ]
        );
        came_up(&store).unwrap();
        assert_eq!(begin(&store, 2).unwrap(), Answer::Load { boot: 1 });
    }

    #[test]
    fn begin_when_limit_is_zero_never_loads() {
        assert_eq!(
            begin(&Memory::default(), 0).unwrap(),
            Answer::Stop { boots: 0 }
        );
    }

    #[test]
    fn begin_when_record_is_damaged_counts_from_the_start() {
        for at in 0..24 {
            let mut record = encode(9).to_vec();
            record[at] ^= 0x10;
            let store = Memory(RefCell::new(Some(record)));
            assert_eq!(
                begin(&store, 3).unwrap(),
                Answer::Load { boot: 1 },
                "byte {at}"
            );
        }
        for length in 0..24 {
            assert_eq!(decode(&encode(9)[..length]), 0);
        }
    }

    #[test]
    fn is_ours_when_sector_holds_something_else_is_false() {
        assert!(is_ours(&[0; 512]) && is_ours(&encode(1)));
        assert!(!is_ours(b"XFSB and so on"));
    }
}
