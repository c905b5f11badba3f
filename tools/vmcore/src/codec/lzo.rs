// SPDX-License-Identifier: GPL-2.0-or-later
//! LZO1X compression of one page; [`decompress`] is the other way.
//!
//! The libraries at hand clear 32 KiB of dictionary for every 4 KiB page, a good part of the time that a page takes. Here
//! the dictionary is as small as a page is. The stream format is described in the kernel's
//! Documentation/staging/lzo.rst; any LZO1X decoder reads it.
//!
//! Input and output go through buffers of a power of two in length with some room behind it, so that a masked index needs no
//! check, and short runs can be copied in pieces of one size.

mod decompress;

pub use decompress::decompress;

const HASH_BITS: u32 = 12;
const MIN_MATCH: usize = 4;
/// Farthest and longest match of the two-byte instruction.
const M2_DISTANCE: usize = 0x800;
const M2_BYTES: usize = 8;
/// Longest match of the three-byte instruction without extra length bytes.
const M3_BYTES: usize = 33;
/// Longest run of literals with a length of one byte, or of two bits.
const SHORT_LITERALS: usize = 18;
/// Longest input: the three-byte instruction reaches 16 KiB.
const MAX_BYTES: usize = 16 << 10;
/// Room for what [`MAX_BYTES`] may become.
const MAX_OUT: usize = 2 * MAX_BYTES;
const PIECE: usize = 16;
/// Behind both buffers: what is read or written at once.
const ROOM: usize = 2 * PIECE;
const END: [u8; 3] = [0x11, 0, 0];

/// Compression state of one thread.
pub struct Lzo {
    /// Where four bytes with this hash were seen last. No mark is needed for "nowhere": position 0 is as good a try.
    dictionary: Box<[u16; 1 << HASH_BITS]>,
    page: Input,
    out: Sink,
}

impl Default for Lzo {
    fn default() -> Lzo {
        Lzo {
            dictionary: Box::new([0; 1 << HASH_BITS]),
            page: Input(Box::new([0; MAX_BYTES + ROOM])),
            out: Sink {
                bytes: Box::new([0; MAX_OUT + ROOM]),
                at: 0,
            },
        }
    }
}

/// The page; what is behind its end is not looked at, but may be read.
struct Input(Box<[u8; MAX_BYTES + ROOM]>);

impl Input {
    #[inline]
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        const { assert!(N <= ROOM) }
        let at = at % MAX_BYTES;
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.0[at..at + N]);
        bytes
    }

    #[inline]
    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.array(at))
    }

    /// How many bytes are the same at both places; `later` is before the end.
    #[inline]
    fn common(&self, earlier: usize, later: usize, end: usize) -> usize {
        let mut done = 0;
        loop {
            let [one, other] = [earlier, later].map(|at| u64::from_le_bytes(self.array(at + done)));
            if one != other {
                done += ((one ^ other).trailing_zeros() / 8) as usize;
                return done.min(end - later);
            }
            done += 8;
            if later + done >= end {
                return end - later;
            }
        }
    }
}

/// The compressed page; what is written behind its end is overwritten.
struct Sink {
    bytes: Box<[u8; MAX_OUT + ROOM]>,
    at: usize,
}

impl Sink {
    /// Writes without going on.
    #[inline]
    fn set<const N: usize>(&mut self, ahead: usize, bytes: [u8; N]) {
        const { assert!(N <= ROOM) }
        let at = (self.at + ahead) % MAX_OUT;
        self.bytes[at..at + N].copy_from_slice(&bytes);
    }

    #[inline]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.set(0, bytes);
        self.at += N;
    }

    /// A length beyond what the instruction holds: a zero for each 255, then the rest.
    fn long(&mut self, mut rest: usize) {
        while rest > 255 {
            self.put([0]);
            rest -= 255;
        }
        self.put([rest as u8]);
    }

    /// The first run of literals, or a long one.
    fn long_literals(&mut self, page: &Input, from: usize, to: usize) {
        match to - from {
            count @ 1..=238 if self.at == 0 => self.put([17 + count as u8]),
            count @ 0..=SHORT_LITERALS => return self.short_literals(page, from, count),
            count => {
                self.put([0]);
                self.long(count - SHORT_LITERALS);
            }
        }
        for done in (0..to - from).step_by(PIECE) {
            self.set(done, page.array::<PIECE>(from + done));
        }
        self.at += to - from;
    }

    /// Up to [`SHORT_LITERALS`], without a branch that nobody can predict: the instruction, if it is one, is written over
    /// otherwise, and so are literals that are too many.
    #[inline]
    fn short_literals(&mut self, page: &Input, from: usize, count: usize) {
        // The two free bits of the match before, in its second to last byte.
        let free = self.at.wrapping_sub(2) % MAX_OUT;
        self.bytes[free] |= if count < 4 { count as u8 } else { 0 };
        self.set(0, [count.wrapping_sub(3) as u8]);
        self.at += usize::from(count >= 4);
        self.set(0, page.array::<PIECE>(from));
        self.set(
            PIECE,
            page.array::<{ SHORT_LITERALS - PIECE }>(from + PIECE),
        );
        self.at += count;
    }

    #[inline]
    fn literals(&mut self, page: &Input, from: usize, to: usize) {
        if to - from > SHORT_LITERALS || self.at == 0 {
            self.long_literals(page, from, to);
        } else {
            self.short_literals(page, from, to - from);
        }
    }

    #[inline]
    fn copy(&mut self, distance: usize, bytes: usize) {
        let back = distance - 1;
        if bytes > M3_BYTES {
            self.put([32]);
            self.long(bytes - M3_BYTES);
            return self.put(((back << 2) as u16).to_le_bytes());
        }
        let two = (bytes - 1) << 5 | (back & 7) << 2 | (back >> 3) << 8;
        let three = 32 | (bytes - 2) | back << 10;
        let (word, length) = match bytes <= M2_BYTES && distance <= M2_DISTANCE {
            true => (two, 2),
            false => (three, 3),
        };
        self.set(0, (word as u32).to_le_bytes());
        self.at += length;
    }
}

impl Lzo {
    /// Compresses `page`; none when `out` is too short or the page is empty or longer than 16 KiB.
    pub fn compress(&mut self, page: &[u8], out: &mut [u8]) -> Option<usize> {
        if page.is_empty() {
            return None;
        }
        self.page.0[..MAX_BYTES]
            .get_mut(..page.len())?
            .copy_from_slice(page);
        self.dictionary.fill(0);
        self.out.at = 0;
        let literals = self.matches(page.len());
        self.out.literals(&self.page, literals, page.len());
        self.out.put(END);
        let compressed = &self.out.bytes[..self.out.at];
        out.get_mut(..compressed.len())?.copy_from_slice(compressed);
        Some(compressed.len())
    }

    /// Everything up to the last match; says where the literals behind it begin.
    fn matches(&mut self, end: usize) -> usize {
        let Lzo {
            dictionary,
            page,
            out,
        } = self;
        let limit = end.saturating_sub(MIN_MATCH);
        let mut literals = 0;
        let mut at = 1;
        while at < limit {
            let now = page.u32(at);
            let slot = (now.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize;
            let earlier = usize::from(std::mem::replace(&mut dictionary[slot], at as u16));
            if page.u32(earlier) != now {
                // The longer nothing matched, the larger the steps.
                at += 1 + ((at - literals) >> 5);
                continue;
            }
            let bytes = MIN_MATCH + page.common(earlier + MIN_MATCH, at + MIN_MATCH, end);
            out.literals(page, literals, at);
            out.copy(at - earlier, bytes);
            at += bytes;
            literals = at;
        }
        literals
    }
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
