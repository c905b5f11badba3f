// SPDX-License-Identifier: GPL-2.0-or-later
//! LZO1X compression of one page; [`decompress`] is the other way.
//!
//! The libraries at hand clear 32 KiB of dictionary for every 4 KiB page, which costs more than the compression. Here
//! the dictionary is small and entries of earlier pages are told apart by a number, so nothing is cleared. The stream
//! format is described in the kernel's Documentation/staging/lzo.rst; any LZO1X decoder reads it.

mod decompress;

pub use decompress::decompress;

const HASH_BITS: u32 = 12;
const MIN_MATCH: usize = 4;
/// Farthest and longest match of the two-byte instruction.
const M2_DISTANCE: usize = 0x800;
const M2_BYTES: usize = 8;
/// Longest match of the three-byte instruction without extra length bytes.
const M3_BYTES: usize = 33;
/// Longest input: positions have 16 bits, and the three-byte instruction reaches 16 KiB.
const MAX_BYTES: usize = 16 << 10;
const END: [u8; 3] = [0x11, 0, 0];

/// Compression state of one thread.
pub struct Lzo {
    /// Number of the input in the upper half, position in the lower.
    dictionary: Box<[u32; 1 << HASH_BITS]>,
    epoch: u32,
}

impl Default for Lzo {
    fn default() -> Lzo {
        Lzo {
            dictionary: Box::new([0; 1 << HASH_BITS]),
            epoch: 0,
        }
    }
}

/// Writes into a slice and notes when it is too short.
struct Sink<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Sink<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        self.out
            .get_mut(self.at..self.at + bytes.len())?
            .copy_from_slice(bytes);
        self.at += bytes.len();
        Some(())
    }

    /// A length beyond what the instruction holds: a zero for each 255, then the rest.
    fn long(&mut self, mut rest: usize) -> Option<()> {
        while rest > 255 {
            self.put(&[0])?;
            rest -= 255;
        }
        self.put(&[rest as u8])
    }

    fn literals(&mut self, bytes: &[u8]) -> Option<()> {
        match bytes.len() {
            0 => return Some(()),
            count @ 1..=238 if self.at == 0 => self.put(&[17 + count as u8])?,
            // The two free bits of the match before, in its second to last byte.
            count @ 1..=3 => *self.out.get_mut(self.at.checked_sub(2)?)? |= count as u8,
            count @ 4..=18 => self.put(&[count as u8 - 3])?,
            count => {
                self.put(&[0])?;
                self.long(count - 18)?;
            }
        }
        self.put(bytes)
    }

    fn copy(&mut self, distance: usize, bytes: usize) -> Option<()> {
        let back = distance - 1;
        if bytes <= M2_BYTES && distance <= M2_DISTANCE {
            let first = (bytes - 1) << 5 | (back & 7) << 2;
            return self.put(&[first as u8, (back >> 3) as u8]);
        }
        if bytes <= M3_BYTES {
            self.put(&[(32 | (bytes - 2)) as u8])?;
        } else {
            self.put(&[32])?;
            self.long(bytes - M3_BYTES)?;
        }
        self.put(&((back << 2) as u16).to_le_bytes())
    }
}

impl Lzo {
    /// Compresses `page`; none when `out` is too short or the page longer than 16 KiB.
    pub fn compress(&mut self, page: &[u8], out: &mut [u8]) -> Option<usize> {
        if page.len() > MAX_BYTES {
            return None;
        }
        self.epoch = (self.epoch + 1) & 0xffff;
        if self.epoch == 0 {
            self.dictionary.fill(0);
            self.epoch = 1;
        }
        let mut sink = Sink { out, at: 0 };
        let mut literals = 0;
        let mut at = 0;
        while let Some(word) = word(page, at) {
            let Some(earlier) = self.find(page, at, word) else {
                // The longer nothing matched, the larger the steps.
                at += 1 + ((at - literals) >> 5);
                continue;
            };
            let bytes = MIN_MATCH + common(&page[earlier + MIN_MATCH..], &page[at + MIN_MATCH..]);
            sink.literals(&page[literals..at])?;
            sink.copy(at - earlier, bytes)?;
            at += bytes;
            literals = at;
        }
        sink.literals(&page[literals..])?;
        sink.put(&END)?;
        Some(sink.at)
    }

    /// An earlier place with the same four bytes, and this place for later ones.
    fn find(&mut self, page: &[u8], at: usize, now: u32) -> Option<usize> {
        let slot = (now.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize;
        let entry = std::mem::replace(&mut self.dictionary[slot], self.epoch << 16 | at as u32);
        let earlier = (entry & 0xffff) as usize;
        (entry >> 16 == self.epoch && word(page, earlier) == Some(now)).then_some(earlier)
    }
}

fn word(page: &[u8], at: usize) -> Option<u32> {
    let bytes = page.get(at..at + 4)?;
    Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// How many bytes are the same; `later` is the shorter one.
fn common(earlier: &[u8], later: &[u8]) -> usize {
    let mut at = 0;
    for (a, b) in earlier.chunks_exact(8).zip(later.chunks_exact(8)) {
        let (a, b) = (crate::bytes::u64_at(a, 0), crate::bytes::u64_at(b, 0));
        if a != b {
            return at + ((a ^ b).trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = earlier[at..].iter().zip(&later[at..]);
    at + rest.take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(lzo: &mut Lzo, page: &[u8]) {
        let mut out = vec![0; page.len() + page.len() / 16 + 67];
        let bytes = lzo.compress(page, &mut out).expect("room");
        // Somebody else's decoder as well.
        type Decoder = fn(&[u8], &mut [u8]) -> bool;
        let theirs: Decoder = |from, to| lzo1x::decompress(from, to).is_ok();
        let ours: Decoder = |from, to| decompress(from, to).is_ok();
        for decoder in [theirs, ours] {
            let mut back = vec![0xee; page.len()];
            assert!(decoder(&out[..bytes], &mut back), "valid stream");
            assert!(back == page, "{} bytes came back differently", page.len());
        }
    }

    #[test]
    fn pages_of_every_texture_come_back() {
        let mut lzo = Lzo::default();
        let mut state = 1u64;
        for round in 0..3000u64 {
            let bytes = [4096, 4096, 1, 3, 4, 5, 17, 238, 239, 256, 300, 1000][round as usize % 12];
            let alphabet = 1 + round % 97;
            let page: Vec<u8> = (0..bytes)
                .map(|i| {
                    state = state
                        .wrapping_mul(6364136223846793005)
                        .wrapping_add(1442695040888963407);
                    // Runs of repetition between noise, of all lengths.
                    if (i as u64 / (1 + round % 50)) % 3 == 0 {
                        7
                    } else {
                        ((state >> 33) % alphabet) as u8
                    }
                })
                .collect();
            round_trip(&mut lzo, &page);
        }
    }

    #[test]
    fn entries_of_earlier_pages_are_not_used_when_the_epoch_wraps() {
        let mut lzo = Lzo::default();
        for fill in 0..70_000u32 {
            let page: Vec<u8> = fill.to_le_bytes().repeat(8);
            round_trip(&mut lzo, &page);
        }
    }

    /// Whatever the stream, both decoders say the same; what somebody else's encoder writes has instructions that ours does
    /// not write.
    #[test]
    fn decoders_agree_on_good_and_bad_streams() {
        let mut state = 7u64;
        let mut random = move |below: u64| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 33) % below
        };
        let (mut good, mut bad) = (0, 0);
        for _ in 0..20_000 {
            let bytes = 1 + random(5000) as usize;
            let (spread, alphabet) = (1 + random(3000), 1 + random(200));
            let mut page: Vec<u8> = Vec::new();
            while page.len() < bytes {
                let back = 1 + random(spread) as usize;
                let byte = random(alphabet) as u8;
                let repeated = page.len().checked_sub(back).filter(|_| random(8) > 0);
                page.push(repeated.map_or(byte, |at| page[at]));
            }
            let mut stream = lzo1x::compress(&page, lzo1x::CompressLevel::default());
            if random(3) > 0 {
                for _ in 0..=random(3) {
                    let at = random(stream.len() as u64) as usize;
                    stream[at] = random(256) as u8;
                }
                stream.truncate(stream.len() - random(3).min(stream.len() as u64 - 1) as usize);
            }
            // A version mark is no part of what dumps have.
            if stream[0] == 17 {
                continue;
            }
            let (mut theirs, mut ours) = (vec![0; bytes], vec![0; bytes]);
            let valid = lzo1x::decompress(&stream, &mut theirs).is_ok();
            assert_eq!(
                valid,
                decompress(&stream, &mut ours).is_ok(),
                "{stream:02x?}"
            );
            assert!(!valid || theirs == ours);
            *if valid { &mut good } else { &mut bad } += 1;
        }
        assert!(good > 5000 && bad > 5000, "{good} {bad}");
    }

    #[test]
    fn output_without_room_gives_none() {
        assert_eq!(
            Lzo::default().compress(&[1, 2, 3, 4, 5, 6, 7, 8, 9], &mut [0; 8]),
            None
        );
    }
}
