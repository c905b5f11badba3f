// SPDX-License-Identifier: GPL-2.0-or-later
//! /proc/iomem: where memory for the capture kernel is, and where this kernel runs.

use serde::Serialize;
use std::fmt;

/// Name of the resource that crashkernel= makes.
const CRASH_KERNEL: &str = "Crash kernel";
/// Name of the resource with the running kernel's code.
const KERNEL_CODE: &str = "Kernel code";
const FOUR_GIB: u64 = 1 << 32;

/// Physical addresses from `start` to `last`, both inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Region {
    /// First byte.
    pub start: u64,
    /// Last byte.
    pub last: u64,
}

impl Region {
    /// Length in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (self.last - self.start).saturating_add(1)
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}-{:#x}", self.start, self.last)
    }
}

/// What /proc/iomem says about crashkernel= memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CrashMemory {
    /// Where kexec_file_load(2) puts kernel and initramfs; none when nothing is reserved.
    pub main: Option<Region>,
    /// The piece below 4 GiB for DMA that comes with a main region above it.
    pub low: Option<Region>,
}

impl CrashMemory {
    /// Reads the text of /proc/iomem.
    ///
    /// Without privilege all addresses there are 0, which reads as nothing reserved.
    #[must_use]
    pub fn parse(iomem: &str) -> Self {
        let mut regions: Vec<Region> = named(iomem, CRASH_KERNEL).collect();
        regions.sort_by_key(|region| region.start);
        // crash_reserve.c: a second, low region exists only when the main one is above 4 GiB.
        let main = regions.pop();
        let low = regions
            .pop()
            .filter(|_| main.is_some_and(|m| m.start >= FOUR_GIB));
        Self { main, low }
    }
}

/// The last crashkernel= of a command line, the one that counts.
fn asked(cmdline: &str) -> Option<&str> {
    let mut words = cmdline.split_whitespace();
    words
        .rfind(|word| word.starts_with("crashkernel="))
        .map(|word| &word["crashkernel=".len()..])
}

/// crashkernel= asks for an address that KASLR may give to the kernel itself: it keeps away from what mem=, memmap= and
/// hugepages= say (arch/x86/boot/compressed/kaslr.c), not from this.
#[must_use]
pub fn address_against_kaslr(cmdline: &str) -> bool {
    asked(cmdline).is_some_and(|value| value.contains('@'))
        && !cmdline.split_whitespace().any(|word| word == "nokaslr")
}

/// What to do when nothing is reserved, from the running kernel's command line.
#[must_use]
pub fn advice_when_none(cmdline: &str) -> &'static str {
    match asked(cmdline) {
        None => "boot with crashkernel=SIZE; `kdumpkit estimate` says how much",
        Some(_) if address_against_kaslr(cmdline) => KASLR_ADVICE,
        Some(_) => {
            "the kernel did not reserve what crashkernel= asks for: `dmesg | grep crashkernel` says why \
             (a value that it cannot parse, no free range of that size or at that address)"
        }
    }
}

/// For [`address_against_kaslr`].
pub const KASLR_ADVICE: &str = "crashkernel= asks for an address where KASLR may put the kernel itself, at one boot and not \
    at the next: leave out @ADDRESS, or add nokaslr";

/// Where the running kernel's code is.
#[must_use]
pub fn kernel_code(iomem: &str) -> Option<Region> {
    named(iomem, KERNEL_CODE).next()
}

/// The ranges of the resources called `name`; lines that make no sense are no resources.
fn named<'t>(iomem: &'t str, name: &'t str) -> impl Iterator<Item = Region> + 't {
    iomem.lines().filter_map(move |line| {
        let (range, words) = line.split_once(" : ")?;
        let (start, last) = range.trim().split_once('-')?;
        let start = u64::from_str_radix(start, 16).ok()?;
        let last = u64::from_str_radix(last, 16).ok()?;
        (words.trim() == name && last > start).then_some(Region { start, last })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIGH: &str = "\
00001000-0009fbff : System RAM
00100000-bffd9fff : System RAM
  a0000000-afffffff : Crash kernel
100000000-23fffffff : System RAM
  12ca00000-12e1fffff : Kernel code
  220000000-22fffffff : Crash kernel
";

    #[test]
    fn crash_memory_when_two_regions_takes_the_upper_as_main() {
        let memory = CrashMemory::parse(HIGH);
        assert_eq!(memory.main.unwrap().start, 0x2_2000_0000);
        assert_eq!(memory.main.unwrap().bytes(), 256 << 20);
        assert_eq!(memory.low.unwrap().start, 0xa000_0000);
        assert_eq!(kernel_code(HIGH).unwrap().start, 0x1_2ca0_0000);
    }

    #[test]
    fn crash_memory_when_read_without_privilege_is_none() {
        let text = "00000000-00000000 : System RAM\n  00000000-00000000 : Crash kernel\n";
        assert_eq!(CrashMemory::parse(text), CrashMemory::default());
    }

    #[test]
    fn advice_when_none_names_the_likely_cause() {
        for (cmdline, part) in [
            ("root=/dev/vda1 quiet", "boot with crashkernel=SIZE"),
            ("crashkernel=192M@256M", "KASLR"),
            ("crashkernel=192M@256M nokaslr", "did not reserve"),
            ("crashkernel=1M@1G crashkernel=4000G", "no free range"),
        ] {
            let advice = advice_when_none(cmdline);
            assert!(advice.contains(part), "{cmdline}: {advice}");
            assert_eq!(advice == KASLR_ADVICE, address_against_kaslr(cmdline));
        }
    }

    #[test]
    fn crash_memory_when_lines_are_broken_is_none() {
        for text in [
            "",
            "x",
            "-1-2 : Crash kernel",
            "9-1 : Crash kernel",
            " : Crash kernel",
        ] {
            assert_eq!(CrashMemory::parse(text), CrashMemory::default(), "{text}");
        }
    }
}
