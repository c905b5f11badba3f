// SPDX-License-Identifier: GPL-2.0-or-later
//! How much crashkernel= a capture needed, from what the capture kernel measured.

use serde::{Deserialize, Serialize};

const MIB: u64 = 1 << 20;
/// crashkernel= is given in steps of this, which also keeps the region a multiple of every kernel's alignment.
const STEP_MIB: u64 = 8;
/// Another crash finds more devices, a fuller log, a larger memory map: at least this much more than was measured.
const MARGIN_MIB: u64 = 16;

/// What the capture kernel saw of its memory. All in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// The memory it was given: System RAM in its /proc/iomem.
    pub region_bytes: u64,
    /// MemTotal of /proc/meminfo: the region without the kernel and its memory map.
    pub total_bytes: u64,
    /// MemAvailable when /init began; the initramfs is unpacked by then, and its packed copy freed.
    pub available_at_start_bytes: u64,
    /// The least MemAvailable that was seen until the dump was written.
    pub least_available_bytes: u64,
    /// Length of the packed initramfs.
    pub initramfs_bytes: u64,
    /// `init_size` of the kernel image: what it needs before it knows its memory.
    pub init_size_bytes: u64,
}

/// What a capture needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Need {
    /// To be loaded: init_size and initramfs side by side.
    pub load_mib: u64,
    /// While the initramfs is unpacked: kernel, packed and unpacked copy.
    pub unpack_mib: u64,
    /// While the dump is written.
    pub capture_mib: u64,
    /// The largest of them.
    pub measured_mib: u64,
    /// What crashkernel= should be: with a margin, in round steps.
    pub crashkernel_mib: u64,
}

impl Measured {
    /// What this capture would have needed at least.
    #[must_use]
    pub fn need(&self) -> Need {
        let mib = |bytes: u64| bytes.div_ceil(MIB);
        let used_at = |available: u64| self.region_bytes.saturating_sub(available);
        let load_mib = mib(self.init_size_bytes.saturating_add(self.initramfs_bytes)) + 1;
        let before_free = self
            .available_at_start_bytes
            .saturating_sub(self.initramfs_bytes);
        let unpack_mib = mib(used_at(before_free));
        let capture_mib = mib(used_at(self.least_available_bytes));
        let measured_mib = load_mib.max(unpack_mib).max(capture_mib);
        Need {
            load_mib,
            unpack_mib,
            capture_mib,
            measured_mib,
            crashkernel_mib: (measured_mib + MARGIN_MIB).next_multiple_of(STEP_MIB),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 192 MiB region.
    const SEEN: Measured = Measured {
        region_bytes: 192 * MIB,
        total_bytes: 140 * MIB,
        available_at_start_bytes: 110 * MIB,
        least_available_bytes: 100 * MIB,
        initramfs_bytes: 12 * MIB,
        init_size_bytes: 62 * MIB + 5,
    };

    #[test]
    fn need_when_unpacking_is_the_peak_says_so() {
        let need = SEEN.need();
        assert_eq!(
            (need.load_mib, need.unpack_mib, need.capture_mib),
            (76, 94, 92)
        );
        assert_eq!((need.measured_mib, need.crashkernel_mib), (94, 112));
    }

    #[test]
    fn need_when_the_dump_takes_more_is_that() {
        let measured = Measured {
            least_available_bytes: 20 * MIB,
            ..SEEN
        };
        assert_eq!(measured.need().measured_mib, 172);
    }

    #[test]
    fn need_when_numbers_make_no_sense_does_not_overflow() {
        let measured = Measured {
            region_bytes: 0,
            init_size_bytes: u64::MAX,
            initramfs_bytes: u64::MAX,
            ..SEEN
        };
        assert!(measured.need().crashkernel_mib > 0);
    }
}
