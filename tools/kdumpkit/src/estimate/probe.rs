// SPDX-License-Identifier: GPL-2.0-or-later
//! Watches the capture kernel's memory while the dump is written.

use super::need::Measured;
use std::fs;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// A look costs some ten microseconds.
const PERIOD: Duration = Duration::from_millis(20);
/// struct boot_params: hdr.ramdisk_size, ext_ramdisk_size, hdr.init_size (Documentation/arch/x86/zero-page.rst).
const BOOT_PARAMS: &str = "/sys/kernel/boot_params/data";
const RAMDISK_SIZE: usize = 0x21c;
const EXT_RAMDISK_SIZE: usize = 0x0c4;
const INIT_SIZE: usize = 0x260;

static AT_START: OnceLock<Measured> = OnceLock::new();
static LEAST: AtomicU64 = AtomicU64::new(u64::MAX);

/// Begins to watch; for the life of this process. Without /proc and /sys there is nothing to watch.
pub fn start() {
    let Some(first) = look() else {
        return;
    };
    if AT_START.set(first).is_err() {
        return;
    }
    let _ = thread::Builder::new()
        .stack_size(64 << 10)
        .name("memory".into())
        .spawn(|| {
            loop {
                if let Some(now) = meminfo("MemAvailable:") {
                    LEAST.fetch_min(now, Ordering::Relaxed);
                }
                thread::sleep(PERIOD);
            }
        });
}

/// What has been seen since [`start`].
#[must_use]
pub fn measured() -> Option<Measured> {
    let first = AT_START.get()?;
    Some(Measured {
        least_available_bytes: LEAST
            .load(Ordering::Relaxed)
            .min(first.available_at_start_bytes),
        ..*first
    })
}

fn look() -> Option<Measured> {
    let available = meminfo("MemAvailable:")?;
    let params = fs::read(BOOT_PARAMS).ok()?;
    let word = |at: usize| -> Option<u64> {
        let bytes = params.get(at..at + 4)?;
        Some(u64::from(u32::from_le_bytes(bytes.try_into().ok()?)))
    };
    Some(Measured {
        region_bytes: system_ram(&fs::read_to_string("/proc/iomem").ok()?),
        total_bytes: meminfo("MemTotal:")?,
        available_at_start_bytes: available,
        least_available_bytes: available,
        initramfs_bytes: word(RAMDISK_SIZE)? | word(EXT_RAMDISK_SIZE)? << 32,
        init_size_bytes: word(INIT_SIZE)?,
    })
}

/// The sum of all System RAM. Nested resources are part of it.
fn system_ram(iomem: &str) -> u64 {
    iomem
        .lines()
        .filter_map(|line| line.strip_suffix(" : System RAM"))
        .filter_map(|range| {
            let (start, last) = range.split_once('-')?;
            let start = u64::from_str_radix(start, 16).ok()?;
            Some(u64::from_str_radix(last, 16).ok()?.checked_sub(start)? + 1)
        })
        .sum()
}

/// A line of /proc/meminfo, in bytes.
fn meminfo(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_ram_when_nested_resources_are_counted_once() {
        let text = "00001000-0009fbff : System RAM\n2f000000-3affffff : System RAM\n  39000000-39ffffff : Kernel code\n";
        assert_eq!(system_ram(text), 0x9ec00 + (192 << 20));
    }

    #[test]
    fn measured_when_never_started_is_none() {
        assert_eq!(measured(), None);
    }
}
