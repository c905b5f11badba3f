// SPDX-License-Identifier: GPL-2.0-or-later
//! Can this image run where crashkernel= reserved memory? kexec_file_load(2) does not ask all of this: it places a kernel
//! that is not relocatable without a word, and the first crash finds out.

use super::bzimage::{
    LOADED_HIGH, Protocol, SetupHeader, XLF_5LEVEL, XLF_CAN_BE_LOADED_ABOVE_4G, XLF_KERNEL_64,
};
use super::iomem::Region;
use serde::Serialize;
use std::fmt;

/// arch/x86/kernel/kexec-bzimage64.c places no kernel lower.
const MIN_KERNEL_LOAD_ADDR: u64 = 0x10_0000;
const PAGE_BYTES: u64 = 4096;
/// "elfcorehdr=0x…" that the kernel appends for a crash image.
const ELFCOREHDR_BYTES: usize = 30;

/// One reason why an image cannot be the capture kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Field of the setup header, or what is compared with it.
    pub field: &'static str,
    /// What was found.
    pub value: String,
    /// What would be needed.
    pub needed: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is {}, needed: {}",
            self.field, self.value, self.needed
        )
    }
}

/// Where the image can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Placement {
    /// Lowest address at which kexec_file_load(2) may put the kernel.
    pub lowest: u64,
    /// Highest one; the kernel tries from the top.
    pub highest: u64,
}

/// Checks the image alone: everything but its place.
#[must_use]
pub fn check_image(header: &SetupHeader, five_level_paging: bool) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let mut refuse = |bad: bool, field, value: String, needed: &str| {
        if bad {
            let needed = needed.to_owned();
            refusals.push(Refusal {
                field,
                value,
                needed,
            });
        }
    };
    let version = header.version;
    if version < Protocol::RELOCATABLE {
        let needed = "2.05 or newer (relocatable_kernel), 2.12 for kexec_file_load";
        refuse(true, "version", version.to_string(), needed);
        return refusals;
    }
    refuse(
        !header.relocatable_kernel,
        "relocatable_kernel",
        "0".into(),
        "1 (a kernel with CONFIG_RELOCATABLE=y)",
    );
    if version < Protocol::XLOADFLAGS {
        let needed = "2.12 or newer (xloadflags; kexec_file_load takes no older one)";
        refuse(true, "version", version.to_string(), needed);
        return refusals;
    }
    let alignment = header.kernel_alignment;
    refuse(
        !alignment.is_power_of_two() || u64::from(alignment) < PAGE_BYTES,
        "kernel_alignment",
        format!("{alignment:#x}"),
        "a power of two of at least 0x1000",
    );
    let min = header.min_alignment;
    refuse(
        min >= 32 || 1_u64 << min > u64::from(alignment),
        "min_alignment",
        format!("2^{min}"),
        "at most kernel_alignment",
    );
    refuse(
        header.loadflags & LOADED_HIGH == 0,
        "loadflags",
        format!("{:#04x}", header.loadflags),
        "bit 0, LOADED_HIGH (a bzImage, not a zImage)",
    );
    let flags = [
        (XLF_KERNEL_64, "bit 0, XLF_KERNEL_64", true),
        (
            XLF_CAN_BE_LOADED_ABOVE_4G,
            "bit 1, XLF_CAN_BE_LOADED_ABOVE_4G",
            true,
        ),
        (
            XLF_5LEVEL,
            "bit 5, XLF_5LEVEL (the running kernel uses 5-level paging)",
            five_level_paging,
        ),
    ];
    for (bit, needed, applies) in flags {
        let missing = applies && header.xloadflags & bit == 0;
        let value = format!("{:#06x}", header.xloadflags);
        refuse(missing, "xloadflags", value, needed);
    }
    let no_size = header.init_size == 0;
    refuse(no_size, "init_size", "0".into(), "more than 0");
    refusals
}

/// Where in `region` the kernel can go, next to an initramfs of `initramfs_bytes`.
///
/// # Errors
/// It does not fit, or is not allowed there; the image must have passed [`check_image`].
pub fn check_region(
    header: &SetupHeader,
    region: Region,
    initramfs_bytes: u64,
) -> Result<Placement, Refusal> {
    let alignment = u64::from(header.kernel_alignment).max(1);
    let size = round_up(u64::from(header.init_size), PAGE_BYTES);
    let floor = region
        .start
        .max(header.pref_address)
        .max(MIN_KERNEL_LOAD_ADDR);
    let lowest = round_up(floor, alignment);
    let end = region.last.saturating_add(1);
    let fits = lowest.checked_add(size).is_some_and(|last| last <= end);
    let describe = || format!("{region} ({} bytes)", region.bytes());
    if !fits {
        let why = if header.pref_address > region.start {
            format!(", not below pref_address {:#x}", header.pref_address)
        } else {
            String::new()
        };
        return Err(Refusal {
            field: "the crashkernel region",
            value: describe(),
            needed: format!(
                "init_size {size:#x} bytes at a multiple of kernel_alignment {alignment:#x}{why}"
            ),
        });
    }
    // What else goes in (purgatory, boot parameters, ELF headers) is less than a MiB, and the kernel will say.
    let need = size.saturating_add(round_up(initramfs_bytes, PAGE_BYTES));
    if region.bytes() < need {
        return Err(Refusal {
            field: "the crashkernel region",
            value: describe(),
            needed: format!(
                "more than {need} bytes (init_size {size} + initramfs {initramfs_bytes})"
            ),
        });
    }
    let highest = (end - size) / alignment * alignment;
    Ok(Placement { lowest, highest })
}

/// Is the command line short enough for the image?
///
/// # Errors
/// It is longer than `cmdline_size` with what the kernel appends.
pub fn check_cmdline(header: &SetupHeader, cmdline: &str) -> Result<(), Refusal> {
    let limit = (header.cmdline_size as usize).saturating_sub(ELFCOREHDR_BYTES);
    if cmdline.len() < limit {
        return Ok(());
    }
    Err(Refusal {
        field: "the capture command line",
        value: format!("{} bytes long", cmdline.len()),
        needed: format!(
            "less than {limit} (cmdline_size {} without elfcorehdr=)",
            header.cmdline_size
        ),
    })
}

fn round_up(value: u64, to: u64) -> u64 {
    value.checked_next_multiple_of(to).unwrap_or(u64::MAX)
}
