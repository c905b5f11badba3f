// SPDX-License-Identifier: GPL-2.0-or-later
//! The page codecs of kdump-compressed files. The numbers are the format's own flag bits.

use crate::error::{Error, Result};

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
            Codec::Lzo => lzo1x::decompress(data, page)
                .map(|()| page.len())
                .map_err(|e| bad(format!("{e:?}")))?,
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
