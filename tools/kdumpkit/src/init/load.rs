// SPDX-License-Identifier: GPL-2.0-or-later
//! Load that makes crash points fire: real I/O, timers, interrupts, memory pressure.

use super::system;
use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::thread::{self, sleep};
use std::time::Duration;

/// One kind of load; each runs in a thread of its own until the machine dies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// Uncached reads and writes on a scratch block device: submit_bio, device interrupts, block softirqs.
    Block {
        /// The device (`/dev/vdb`); its contents are destroyed.
        device: String,
    },
    /// Writes through the block device's page cache, with fsync: buffer heads.
    Buffered {
        /// The device; its contents are destroyed.
        device: String,
    },
    /// Short sleeps: hrtimers and timer interrupts.
    Timer,
    /// Waits for RCU grace periods: a CPU that hangs with interrupts off stalls them, and RCU notices.
    Rcu,
    /// More page cache than memory: reclaim. Reads a whole block device again and again.
    Memory {
        /// A device larger than the guest's memory.
        device: String,
    },
}

/// Starts all of them.
///
/// # Errors
/// A device does not appear or cannot be opened.
pub fn start<'l>(loads: impl IntoIterator<Item = &'l Load>) -> Result<()> {
    for load in loads {
        match load {
            Load::Block { device } => start_block(device)?,
            Load::Buffered { device } => start_buffered(device)?,
            Load::Timer => spawn(|| {
                loop {
                    sleep(Duration::from_micros(500));
                }
            }),
            Load::Rcu => start_rcu()?,
            Load::Memory { device } => start_memory(device)?,
        }
    }
    Ok(())
}

/// One thread on each CPU: the timer of a thread that sleeps is on the CPU where it ran, and a CPU that hangs ends no sleep.
fn start_rcu() -> Result<()> {
    for cpu in 0..thread::available_parallelism()?.get() {
        spawn(move || {
            let mut only = CpuSet::new();
            only.set(cpu);
            // A thread that may run anywhere is load, too.
            let _ = sched_setaffinity(None, &only);
            loop {
                wait_for_grace_period();
                sleep(Duration::from_millis(20));
            }
        });
    }
    Ok(())
}

/// MEMBARRIER_CMD_GLOBAL of membarrier(2) is synchronize_rcu().
fn wait_for_grace_period() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: the call takes three integers and touches no memory of this process.
    unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
}

fn spawn(work: impl FnOnce() + Send + 'static) {
    thread::spawn(work);
}

fn start_block(device: &str) -> Result<()> {
    system::wait_for(device, Duration::from_secs(10))?;
    let flags = OFlags::RDWR | OFlags::DIRECT;
    let file = File::from(
        rustix::fs::open(device, flags, Mode::empty())
            .with_context(|| format!("opening {device} for the load"))?,
    );
    spawn(move || {
        // O_DIRECT wants the buffer aligned to the block size.
        let mut space = vec![0x5a_u8; 2 * 4096];
        let start = space.as_ptr().align_offset(4096);
        let block = &mut space[start..start + 4096];
        for n in 0_u64.. {
            let offset = (n % 1024) * 4096;
            let _ = file.write_at(block, offset);
            let _ = file.read_at(block, offset);
        }
    });
    Ok(())
}

fn start_buffered(device: &str) -> Result<()> {
    system::wait_for(device, Duration::from_secs(10))?;
    let file = OpenOptions::new().write(true).open(device)?;
    spawn(move || {
        for n in 0_u64.. {
            // Less than a block of the page cache: the rest is read first.
            let _ = file.write_at(&[0x5a; 512], n % 8192 * 4096);
            let _ = file.sync_data();
        }
    });
    Ok(())
}

fn start_memory(device: &str) -> Result<()> {
    system::wait_for(device, Duration::from_secs(10))?;
    let device = device.to_owned();
    fill_tmpfs().context("filling memory for the load")?;
    spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        loop {
            let Ok(mut file) = File::open(&device) else {
                return;
            };
            while file.read(&mut buffer).is_ok_and(|n| n > 0) {}
        }
    });
    Ok(())
}

/// Takes half of the free memory, so that the page cache meets its limit soon.
fn fill_tmpfs() -> Result<()> {
    let meminfo = fs::read_to_string("/proc/meminfo")?;
    let free_kib: u64 = meminfo
        .lines()
        .find_map(|l| l.strip_prefix("MemAvailable:"))
        .and_then(|v| v.trim().trim_end_matches(" kB").parse().ok())
        .context("no MemAvailable in /proc/meminfo")?;
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open("/tmp/ballast")?;
    let block = vec![0x5a; 1 << 20];
    for _ in 0..free_kib / 1024 / 2 {
        file.write_all(&block)?;
    }
    Ok(())
}
