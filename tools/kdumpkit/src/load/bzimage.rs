// SPDX-License-Identifier: GPL-2.0-or-later
//! The setup header of a bzImage: what the kernel says about where it may run.
//!
//! Source: Documentation/arch/x86/boot.rst of the kernel ("The Real-Mode Kernel Header"). Offsets are those of the file,
//! which are also those of struct boot_params.

use std::fmt;

/// `boot_flag`, at the end of the boot sector.
const BOOT_FLAG: u16 = 0xaa55;
/// `header`: "HdrS".
const MAGIC: &[u8; 4] = b"HdrS";
/// The header ends before this; a bzImage has at least two sectors.
const MIN_IMAGE_BYTES: usize = 1024;
/// Real-mode code follows the boot sector in as many sectors, and 0 means 4.
const SECTOR_BYTES: u64 = 512;

/// A boot protocol version, `0x020f` for 2.15.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Protocol(pub u16);

impl Protocol {
    /// First one with `relocatable_kernel` and `kernel_alignment`.
    pub const RELOCATABLE: Self = Self(0x0205);
    /// First one with `min_alignment`, `pref_address` and `init_size`.
    pub const INIT_SIZE: Self = Self(0x020a);
    /// First one with `xloadflags`; kexec_file_load(2) takes no older one.
    pub const XLOADFLAGS: Self = Self(0x020c);
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 >> 8, self.0 & 0xff)
    }
}

/// `loadflags`: the protected-mode code is loaded at 1 MiB (a bzImage, not a zImage).
pub const LOADED_HIGH: u8 = 1 << 0;
/// `xloadflags`: has the 64-bit entry point at 0x200.
pub const XLF_KERNEL_64: u16 = 1 << 0;
/// `xloadflags`: kernel, boot parameters, command line and initramfs may be above 4 GiB.
pub const XLF_CAN_BE_LOADED_ABOVE_4G: u16 = 1 << 1;
/// `xloadflags`: starts with 5-level paging on.
pub const XLF_5LEVEL: u16 = 1 << 5;

/// The fields that matter for loading. A field younger than the image's protocol is 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupHeader {
    /// `version`
    pub version: Protocol,
    /// `loadflags`
    pub loadflags: u8,
    /// `kernel_alignment`, in bytes
    pub kernel_alignment: u32,
    /// `relocatable_kernel`
    pub relocatable_kernel: bool,
    /// `min_alignment`, as a power of two
    pub min_alignment: u8,
    /// `xloadflags`
    pub xloadflags: u16,
    /// `cmdline_size`: longest command line, without its NUL
    pub cmdline_size: u32,
    /// `pref_address`
    pub pref_address: u64,
    /// `init_size`: bytes from the load address on that the kernel needs before it knows the memory map
    pub init_size: u32,
    /// What `kernel_version` points to: release, builder, build number and date
    pub kernel_version: Option<String>,
}

/// Why a file is no bzImage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BzImageError {
    /// Shorter than its header says.
    #[error(
        "the file is truncated: {have} bytes, {part} needs {need}: copy or install the image again"
    )]
    Truncated {
        /// What does not fit.
        part: &'static str,
        /// Length of the file.
        have: u64,
        /// Length needed.
        need: u64,
    },
    /// A magic number is wrong.
    #[error(
        "not a bzImage: {field} at offset {offset:#x} is {have}, not {need} (a vmlinux or a UKI cannot be loaded, the file \
         that the boot loader starts can)"
    )]
    Magic {
        /// Field of the setup header.
        field: &'static str,
        /// Where it is.
        offset: usize,
        /// What is there.
        have: String,
        /// What should be there.
        need: &'static str,
    },
}

impl SetupHeader {
    /// Reads the header from the start of an image whose whole length is `file_bytes`.
    ///
    /// # Errors
    /// The bytes are no bzImage, or `file_bytes` is less than header and real-mode code need.
    pub fn parse(start: &[u8], file_bytes: u64) -> Result<Self, BzImageError> {
        if start.len() < MIN_IMAGE_BYTES {
            return Err(BzImageError::Truncated {
                part: "boot sector and setup header",
                have: start.len() as u64,
                need: MIN_IMAGE_BYTES as u64,
            });
        }
        let boot_flag = u16_at(start, 0x1fe);
        if boot_flag != BOOT_FLAG {
            return Err(magic(
                "boot_flag",
                0x1fe,
                format!("{boot_flag:#06x}"),
                "0xaa55",
            ));
        }
        if start[0x202..0x206] != *MAGIC {
            let have = start[0x202..0x206].escape_ascii().to_string();
            return Err(magic("header", 0x202, format!("\"{have}\""), "\"HdrS\""));
        }
        let sectors = match start[0x1f1] {
            0 => 4,
            n => u64::from(n),
        };
        let need = (sectors + 1) * SECTOR_BYTES;
        if file_bytes <= need {
            return Err(BzImageError::Truncated {
                part: "real-mode code (setup_sects)",
                have: file_bytes,
                need: need + 1,
            });
        }
        Ok(Self::fields(start))
    }

    fn fields(start: &[u8]) -> Self {
        let version = Protocol(u16_at(start, 0x206));
        let since = |protocol: Protocol| version >= protocol;
        let reloc = since(Protocol::RELOCATABLE);
        let init = since(Protocol::INIT_SIZE);
        Self {
            version,
            loadflags: start[0x211],
            kernel_alignment: if reloc { u32_at(start, 0x230) } else { 0 },
            relocatable_kernel: reloc && start[0x234] != 0,
            min_alignment: if init { start[0x235] } else { 0 },
            xloadflags: if since(Protocol::XLOADFLAGS) {
                u16_at(start, 0x236)
            } else {
                0
            },
            // Before 2.06 it was a constant.
            cmdline_size: if since(Protocol(0x0206)) {
                u32_at(start, 0x238)
            } else {
                255
            },
            pref_address: if init { u64_at(start, 0x258) } else { 0 },
            init_size: if init { u32_at(start, 0x260) } else { 0 },
            kernel_version: kernel_version(start),
        }
    }

    /// `uname -r` of this kernel: the first word of [`Self::kernel_version`].
    #[must_use]
    pub fn release(&self) -> Option<&str> {
        self.kernel_version.as_deref()?.split(' ').next()
    }
}

/// The NUL-terminated text at `kernel_version` + 0x200 (0: there is none).
fn kernel_version(start: &[u8]) -> Option<String> {
    let offset = usize::from(u16_at(start, 0x20e));
    let text = start.get(offset + 0x200..).filter(|_| offset != 0)?;
    let end = text.iter().take(256).position(|b| *b == 0)?;
    let text = std::str::from_utf8(&text[..end]).ok()?;
    (!text.is_empty() && !text.contains(char::is_control)).then(|| text.to_owned())
}

fn magic(field: &'static str, offset: usize, have: String, need: &'static str) -> BzImageError {
    BzImageError::Magic {
        field,
        offset,
        have,
        need,
    }
}

// The callers have checked that the header is there.
fn bytes_at<const N: usize>(image: &[u8], offset: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&image[offset..offset + N]);
    bytes
}

fn u16_at(image: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(bytes_at(image, offset))
}

fn u32_at(image: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes_at(image, offset))
}

fn u64_at(image: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes_at(image, offset))
}
