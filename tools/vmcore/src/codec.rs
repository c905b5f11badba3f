// SPDX-License-Identifier: GPL-2.0-or-later
//! The page codecs of kdump-compressed files. The numbers are the format's own flag bits.

mod lzo;

pub use lzo::Lzo;

use crate::addr::PAGE_SIZE;
use crate::error::{Error, Result};
use zstd::zstd_safe::CParameter;

/// How one page is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// As it is.
    Raw,
    /// zlib stream.
    Zlib,
    /// LZO1X block.
    Lzo,
    /// Snappy block, without framing.
    Snappy,
    /// One zstd frame.
    Zstd,
}

impl Codec {
    /// All of them.
    pub const ALL: [Codec; 5] = [
        Codec::Raw,
        Codec::Zlib,
        Codec::Lzo,
        Codec::Snappy,
        Codec::Zstd,
    ];

    /// The flag bit in page descriptors and in the header's `status`.
    pub const fn flag(self) -> u32 {
        match self {
            Codec::Raw => 0,
            Codec::Zlib => 0x1,
            Codec::Lzo => 0x2,
            Codec::Snappy => 0x4,
            Codec::Zstd => 0x20,
        }
    }

    /// The codec of a page descriptor's flags.
    pub fn from_flags(flags: u32) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.flag() == flags)
    }

    /// The fastest level that compresses at least as well as makedumpfile, which takes zlib's own level 1: libdeflate's
    /// level 1 writes 0.3 to 1.2 % more than that, in 17 to 34 % less time than its level 2. Codecs without levels: 1.
    pub const fn default_level(self) -> i32 {
        match self {
            Codec::Zlib => 2,
            _ => 1,
        }
    }

    /// The usual name.
    pub const fn name(self) -> &'static str {
        match self {
            Codec::Raw => "raw",
            Codec::Zlib => "zlib",
            Codec::Lzo => "lzo",
            Codec::Snappy => "snappy",
            Codec::Zstd => "zstd",
        }
    }
}

/// Decompression contexts of one thread.
pub struct Decoder {
    zlib: libdeflater::Decompressor,
    snappy: snap::raw::Decoder,
    zstd: Option<zstd::bulk::Decompressor<'static>>,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder {
            zlib: libdeflater::Decompressor::new(),
            snappy: snap::raw::Decoder::new(),
            zstd: zstd::bulk::Decompressor::new().ok(),
        }
    }
}

impl Decoder {
    /// Decompresses one page; `page` must be filled exactly.
    ///
    /// # Errors
    /// [`Error::Format`] when the data are corrupt or of another length.
    pub fn decode(&mut self, codec: Codec, data: &[u8], page: &mut [u8]) -> Result<()> {
        let bad = |detail: String| {
            Error::format("compressed page", format!("{}: {detail}", codec.name()))
        };
        let bytes = match codec {
            Codec::Raw if data.len() == page.len() => {
                page.copy_from_slice(data);
                data.len()
            }
            Codec::Raw => data.len(),
            Codec::Zlib => self
                .zlib
                .zlib_decompress(data, page)
                .map_err(|e| bad(e.to_string()))?,
            Codec::Lzo => lzo::decompress(data, page)
                .map(|()| page.len())
                .map_err(|e| bad(e.to_string()))?,
            Codec::Snappy => {
                let announced = snap::raw::decompress_len(data).map_err(|e| bad(e.to_string()))?;
                if announced == page.len() {
                    self.snappy
                        .decompress(data, page)
                        .map_err(|e| bad(e.to_string()))?
                } else {
                    announced
                }
            }
            Codec::Zstd => match &mut self.zstd {
                Some(zstd) => zstd
                    .decompress_to_buffer(data, page)
                    .map_err(|e| bad(e.to_string()))?,
                None => return Err(bad("no memory for a decoder".into())),
            },
        };
        if bytes != page.len() {
            return Err(bad(format!("{bytes} bytes long, valid is {}", page.len())));
        }
        Ok(())
    }
}

/// Room that every codec may want for one page of incompressible data.
pub const WORST_CASE_BYTES: usize = 2 * PAGE_SIZE as usize;

/// zstd's fastest setting for inputs of one page: smaller than its own level 1, with a table an eighth the size.
const ZSTD_PAGE_PARAMETERS: [CParameter; 3] = [
    CParameter::HashLog(10),
    CParameter::MinMatch(4),
    CParameter::WindowLog(12),
];

/// Compression contexts of one thread.
pub struct Encoder {
    codec: Codec,
    zlib: libdeflater::Compressor,
    snappy: snap::raw::Encoder,
    lzo: Lzo,
    zstd: Option<zstd::bulk::Compressor<'static>>,
}

impl Encoder {
    /// `level` is the codec's own, [`Codec::default_level`] without one. Only zlib and zstd have levels.
    pub fn new(codec: Codec, level: Option<i32>) -> Encoder {
        let level = level.unwrap_or(codec.default_level());
        let zlib_level = libdeflater::CompressionLvl::new(level.clamp(1, 12)).unwrap_or_default();
        Encoder {
            codec,
            zlib: libdeflater::Compressor::new(zlib_level),
            snappy: snap::raw::Encoder::new(),
            lzo: Lzo::default(),
            zstd: (codec == Codec::Zstd)
                .then(|| zstd_compressor(level))
                .flatten(),
        }
    }

    /// Puts one page at the start of `out`, compressed if that makes it smaller, and says how and how long it is.
    /// `out` has room for [`WORST_CASE_BYTES`].
    pub fn encode(&mut self, page: &[u8], out: &mut [u8]) -> (Codec, usize) {
        match self.compress(page, out) {
            Some(bytes) if bytes < page.len() => (self.codec, bytes),
            _ => {
                out[..page.len()].copy_from_slice(page);
                (Codec::Raw, page.len())
            }
        }
    }

    fn compress(&mut self, page: &[u8], out: &mut [u8]) -> Option<usize> {
        match self.codec {
            Codec::Raw => None,
            Codec::Zlib => self.zlib.zlib_compress(page, out).ok(),
            Codec::Lzo => self.lzo.compress(page, out),
            Codec::Snappy => self.snappy.compress(page, out).ok(),
            Codec::Zstd => self.zstd.as_mut()?.compress_to_buffer(page, out).ok(),
        }
    }
}

fn zstd_compressor(level: i32) -> Option<zstd::bulk::Compressor<'static>> {
    let mut zstd = zstd::bulk::Compressor::new(level).ok()?;
    if level == 1 {
        for parameter in ZSTD_PAGE_PARAMETERS {
            zstd.set_parameter(parameter).ok()?;
        }
    }
    Some(zstd)
}
