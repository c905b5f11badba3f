// SPDX-License-Identifier: GPL-2.0-or-later
//! Reading and compressing pages on several threads, in order.
//!
//! The unit of work is a batch of pages, not a page. A worker takes a free batch first and the next pages second, so
//! that the oldest batch always has a worker and the writer, which needs batches in order, never waits for one that
//! nobody works on. The number of batches bounds the memory, whatever the size of RAM.

use crate::addr::{PAGE_SIZE, Pfn};
use crate::bytes::u64_at;
use crate::codec::{Codec, Decoder, Encoder, WORST_CASE_BYTES};
use crate::dump::Dump;
use crate::error::{Error, Result};
use crate::image::WINDOW_PFNS;
use crate::source::Map;
use crate::write::verify::Hash;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

const PAGE: usize = PAGE_SIZE as usize;
/// Pages of a batch: 512 KiB, enough to make hand-over and system calls cheap.
pub const BATCH_PAGES: u64 = 128;

/// What the caller sees of the work.
pub trait Progress: Sync {
    /// So many pages of the dump are done since the last call.
    fn advance(&self, pages: u64);
}

/// Nobody looks.
impl Progress for () {
    fn advance(&self, _pages: u64) {}
}

/// How one page is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// All zeros; no data.
    Zero,
    /// The next `bytes` bytes of the batch's data.
    Data {
        /// How they are to be decoded.
        codec: Codec,
        /// Length.
        bytes: u32,
    },
    /// The source could not be read.
    Unreadable,
}

/// Consecutive pages of the dump, ready to be written.
#[derive(Debug, Default)]
pub struct Batch {
    /// The page frames.
    pub runs: Vec<Range<u64>>,
    /// One entry a page.
    pub pages: Vec<Stored>,
    /// Of the pages' contents; only with [`Check::ReadBack`].
    pub hash: Hash,
    /// Room for the data of all pages; allocated once.
    buf: Vec<u8>,
    used: usize,
    raw: Vec<u8>,
}

impl Batch {
    /// The data of the pages, one after another.
    pub fn data(&self) -> &[u8] {
        &self.buf[..self.used]
    }

    fn clear(&mut self) {
        self.pages.clear();
        self.hash = Hash::default();
        self.used = 0;
        // No page becomes longer, and the codec may need more while it works on the last one.
        self.buf
            .resize(BATCH_PAGES as usize * PAGE + WORST_CASE_BYTES, 0);
        self.raw.resize(BATCH_PAGES as usize * PAGE, 0);
    }
}

/// How it is made sure that what was written gives the source's pages back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Not at all.
    No,
    /// Every page is decoded again as soon as it is encoded: for targets that cannot be read.
    Encoded,
    /// Pages are hashed, and the file is read back before it is called complete; [`Check::Encoded`] where the target
    /// cannot be read.
    ReadBack,
}

/// What the workers do.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    /// How to compress.
    pub codec: Codec,
    /// The codec's level.
    pub level: Option<i32>,
    /// Worker threads.
    pub threads: usize,
    /// Whether to compare.
    pub check: Check,
}

/// Cuts runs into batches.
struct Batches<I: Iterator<Item = Range<u64>>> {
    runs: I,
    rest: Range<u64>,
    sequence: u64,
}

impl<I: Iterator<Item = Range<u64>>> Batches<I> {
    fn fill(&mut self, runs: &mut Vec<Range<u64>>) -> Option<u64> {
        runs.clear();
        let mut room = BATCH_PAGES;
        while room > 0 {
            if self.rest.is_empty() {
                match self.runs.next() {
                    Some(run) => self.rest = run,
                    None => break,
                }
                continue;
            }
            let end = self.rest.end.min(self.rest.start + room);
            room -= end - self.rest.start;
            match runs.last_mut() {
                Some(last) if last.end == self.rest.start => last.end = end,
                _ => runs.push(self.rest.start..end),
            }
            self.rest.start = end;
        }
        if runs.is_empty() {
            return None;
        }
        self.sequence += 1;
        Some(self.sequence - 1)
    }
}

/// Reads and encodes the pages of `runs`, and gives the batches to `sink` in order.
///
/// # Errors
/// The first error of `sink`, of a corrupt source, or of the check.
pub fn run(
    dump: &Dump,
    runs: impl Iterator<Item = Range<u64>> + Send,
    job: Job,
    mut sink: impl FnMut(&Batch) -> Result<()>,
) -> Result<()> {
    let mut batches = Batches {
        runs,
        rest: 0..0,
        sequence: 0,
    };
    if job.threads <= 1 {
        let mut worker = Worker::new(dump, job);
        let mut batch = Batch::default();
        while batches.fill(&mut batch.runs).is_some() {
            worker.encode(&mut batch)?;
            sink(&batch)?;
        }
        return Ok(());
    }
    run_parallel(dump, batches, job, sink)
}

fn run_parallel(
    dump: &Dump,
    batches: Batches<impl Iterator<Item = Range<u64>> + Send>,
    job: Job,
    mut sink: impl FnMut(&Batch) -> Result<()>,
) -> Result<()> {
    let batches = Mutex::new(batches);
    let stop = AtomicBool::new(false);
    let (give_back, free) = mpsc::channel::<Batch>();
    for _ in 0..2 * job.threads + 1 {
        // Cannot fail: the receiver lives.
        let _ = give_back.send(Batch::default());
    }
    let free = Mutex::new(free);
    let (done, finished) = mpsc::channel::<Result<(u64, Batch)>>();
    std::thread::scope(|scope| {
        for _ in 0..job.threads {
            let (done, batches, free, stop) = (done.clone(), &batches, &free, &stop);
            scope.spawn(move || work(dump, job, batches, free, stop, &done));
        }
        drop(done);
        let result = write_in_order(&finished, &give_back, &mut sink);
        stop.store(true, Ordering::Relaxed);
        // Wakes the workers that wait for a batch.
        drop(give_back);
        result
    })
}

fn work(
    dump: &Dump,
    job: Job,
    batches: &Mutex<Batches<impl Iterator<Item = Range<u64>>>>,
    free: &Mutex<mpsc::Receiver<Batch>>,
    stop: &AtomicBool,
    done: &mpsc::Sender<Result<(u64, Batch)>>,
) {
    let mut worker = Worker::new(dump, job);
    loop {
        // Both under one lock: whoever has a batch also has the oldest work.
        let next = {
            let Ok(free) = free.lock() else { return };
            let Ok(mut batch) = free.recv() else { return };
            let Ok(mut batches) = batches.lock() else {
                return;
            };
            batches
                .fill(&mut batch.runs)
                .map(|sequence| (sequence, batch))
        };
        let Some((sequence, mut batch)) = next else {
            return;
        };
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let result = worker.encode(&mut batch).map(|()| (sequence, batch));
        let failed = result.is_err();
        if done.send(result).is_err() || failed {
            return;
        }
    }
}

fn write_in_order(
    finished: &mpsc::Receiver<Result<(u64, Batch)>>,
    give_back: &mpsc::Sender<Batch>,
    sink: &mut impl FnMut(&Batch) -> Result<()>,
) -> Result<()> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    for result in finished {
        let (sequence, batch) = result?;
        waiting.insert(sequence, batch);
        while let Some(batch) = waiting.remove(&next) {
            sink(&batch)?;
            next += 1;
            // Workers that have no more work are gone.
            let _ = give_back.send(batch);
        }
    }
    if waiting.is_empty() {
        return Ok(());
    }
    Err(Error::format("pipeline", "a worker thread ended early"))
}

/// One thread's contexts.
struct Worker<'a> {
    dump: &'a Dump,
    encoder: Encoder,
    check: Option<(Decoder, Vec<u8>)>,
    hashes: bool,
    window: Option<(Pfn, Map)>,
    /// Where the last try to map gave nothing; trying again for each run would cost system calls.
    refused: Option<u64>,
}

impl<'a> Worker<'a> {
    fn new(dump: &'a Dump, job: Job) -> Worker<'a> {
        Worker {
            dump,
            encoder: Encoder::new(job.codec, job.level),
            check: (job.check == Check::Encoded).then(|| (Decoder::default(), vec![0; PAGE])),
            hashes: job.check == Check::ReadBack,
            window: None,
            refused: None,
        }
    }

    fn encode(&mut self, batch: &mut Batch) -> Result<()> {
        batch.clear();
        let Batch {
            runs,
            pages,
            buf,
            used,
            raw,
            hash,
        } = batch;
        for run in runs {
            let mut rest = run.clone();
            while !rest.is_empty() {
                let mut absent = rest.clone();
                if let Some((first, map)) = self.window(rest.start) {
                    let end = rest.end.min(first.0 + (map.len() / PAGE) as u64);
                    let page = |pfn: u64| map.page((pfn - first.0) as usize * PAGE);
                    while let Some(page) =
                        (absent.start < end).then(|| page(absent.start)).flatten()
                    {
                        pages.push(self.page(page, buf, used, hash)?);
                        absent.start += 1;
                    }
                    // What is not in memory is read: more at once than page faults would bring, and an error of the disk is an
                    // error of read() and not a signal.
                    let present = (absent.start..end).find(|&pfn| page(pfn).is_some());
                    absent.end = present.unwrap_or(end);
                    self.window = Some((first, map));
                }
                rest.start = absent.end;
                if !absent.is_empty() {
                    self.read(absent, raw, pages, buf, used, hash)?;
                }
            }
        }
        Ok(())
    }

    /// A window that has this page, if the source can be mapped.
    fn window(&mut self, pfn: u64) -> Option<(Pfn, Map)> {
        let covers =
            |(first, map): &(Pfn, Map)| first.0 <= pfn && pfn < first.0 + (map.len() / PAGE) as u64;
        let old = self.window.take();
        if old
            .as_ref()
            .is_some_and(|old| covers(old) && old.1.is_valid())
        {
            return old;
        }
        // The old one goes first: two windows are more than is needed.
        drop(old);
        let neighbourhood = pfn / WINDOW_PFNS;
        if self.refused == Some(neighbourhood) {
            return None;
        }
        let window = self.dump.window(Pfn(pfn)).filter(covers);
        self.refused = window.is_none().then_some(neighbourhood);
        window
    }

    fn read(
        &mut self,
        run: Range<u64>,
        raw: &mut [u8],
        pages: &mut Vec<Stored>,
        buf: &mut [u8],
        used: &mut usize,
        hash: &mut Hash,
    ) -> Result<()> {
        let raw = &mut raw[..(run.end - run.start) as usize * PAGE];
        let whole = self.dump.read_pages(Pfn(run.start), raw).is_ok();
        for (pfn, page) in run.zip(raw.chunks_exact_mut(PAGE)) {
            // One bad page must not take its neighbours with it.
            if whole || self.dump.read_pages(Pfn(pfn), page).is_ok() {
                pages.push(self.page(page, buf, used, hash)?);
            } else {
                hash.unreadable_page();
                pages.push(Stored::Unreadable);
            }
        }
        Ok(())
    }

    fn page(
        &mut self,
        page: &[u8],
        buf: &mut [u8],
        used: &mut usize,
        hash: &mut Hash,
    ) -> Result<Stored> {
        if is_zero(page) {
            hash.zero_page();
            return Ok(Stored::Zero);
        }
        if self.hashes {
            hash.add(page);
        }
        let (codec, bytes) = self.encoder.encode(page, &mut buf[*used..]);
        if let Some((decoder, again)) = &mut self.check {
            decoder.decode(codec, &buf[*used..*used + bytes], again)?;
            if again != page {
                return Err(Error::format(
                    "compressed page",
                    format!("{} does not give the page back", codec.name()),
                ));
            }
        }
        *used += bytes;
        Ok(Stored::Data {
            codec,
            bytes: bytes as u32,
        })
    }
}

/// Whether all bytes are zero, 64 at a step, in words written one by one: the binary is linked for size, and no loop becomes a vector
/// loop there.
pub fn is_zero(page: &[u8]) -> bool {
    let chunks = page.chunks_exact(64);
    let rest = chunks.remainder();
    let mut chunks = chunks;
    chunks.all(|chunk| {
        let word = |at: usize| u64_at(chunk, 8 * at);
        word(0) | word(1) | word(2) | word(3) | word(4) | word(5) | word(6) | word(7) == 0
    }) && rest.iter().all(|&b| b == 0)
}
