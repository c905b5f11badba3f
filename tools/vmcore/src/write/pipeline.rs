// SPDX-License-Identifier: GPL-2.0-or-later
//! Reading and compressing pages on several threads, in order.
//!
//! The unit of work is a batch of pages, not a page. A worker takes a free batch first and the next pages second, so
//! that the oldest batch always has a worker and the writer, which needs batches in order, never waits for one that
//! nobody works on. The number of batches bounds the memory, whatever the size of RAM.

use crate::addr::{PAGE_SIZE, Pfn};
use crate::codec::{Codec, Decoder, Encoder};
use crate::dump::Dump;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

const PAGE: usize = PAGE_SIZE as usize;
/// Pages of a batch: 512 KiB, enough to make hand-over and system calls cheap.
const BATCH_PAGES: u64 = 128;

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
    /// The data of the pages, one after another.
    pub data: Vec<u8>,
    raw: Vec<u8>,
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
    /// Decompress every page again and compare it.
    pub check: bool,
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
}

impl<'a> Worker<'a> {
    fn new(dump: &'a Dump, job: Job) -> Worker<'a> {
        Worker {
            dump,
            encoder: Encoder::new(job.codec, job.level),
            check: job.check.then(|| (Decoder::default(), vec![0; PAGE])),
        }
    }

    fn encode(&mut self, batch: &mut Batch) -> Result<()> {
        batch.pages.clear();
        batch.data.clear();
        for run in batch.runs.clone() {
            let bytes = (run.end - run.start) as usize * PAGE;
            batch.raw.resize(bytes, 0);
            if self.dump.read_pages(Pfn(run.start), &mut batch.raw).is_ok() {
                for page in batch.raw.chunks_exact(PAGE) {
                    let stored = self.page(page, &mut batch.data)?;
                    batch.pages.push(stored);
                }
            } else {
                self.page_by_page(run, batch)?;
            }
        }
        Ok(())
    }

    /// One bad page must not take its neighbours with it.
    fn page_by_page(&mut self, run: Range<u64>, batch: &mut Batch) -> Result<()> {
        let mut page = [0; PAGE];
        for pfn in run {
            let stored = match self.dump.read_pages(Pfn(pfn), &mut page) {
                Ok(()) => self.page(&page, &mut batch.data)?,
                Err(_) => Stored::Unreadable,
            };
            batch.pages.push(stored);
        }
        Ok(())
    }

    fn page(&mut self, page: &[u8], data: &mut Vec<u8>) -> Result<Stored> {
        if is_zero(page) {
            return Ok(Stored::Zero);
        }
        let start = data.len();
        let codec = self.encoder.encode(page, data);
        if let Some((decoder, again)) = &mut self.check {
            decoder.decode(codec, &data[start..], again)?;
            if again != page {
                return Err(Error::format(
                    "compressed page",
                    format!("{} does not give the page back", codec.name()),
                ));
            }
        }
        let bytes = (data.len() - start) as u32;
        Ok(Stored::Data { codec, bytes })
    }
}

/// Whether all bytes are zero. 256 bytes a step: wide enough for vector registers, early out for the rest.
pub fn is_zero(page: &[u8]) -> bool {
    let chunks = page.chunks_exact(256);
    let rest = chunks.remainder();
    let mut chunks = chunks;
    chunks.all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
        && rest.iter().all(|&b| b == 0)
}
