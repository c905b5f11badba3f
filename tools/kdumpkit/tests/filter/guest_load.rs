// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory load of a test guest: every kind of page that a dump filter tells apart, and a snapshot of what the kernel
//! itself says about each. tests/filter_guest.rs packs it into its guests; it is part of no product.
//!
//!     guest_load hold MIB         fill about MIB MiB of memory, say "ready", hold it
//!     guest_load crash DEVICE     write /proc/kpageflags to DEVICE and crash at once

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::ptr::null_mut;
use std::time::Duration;

const MIB: usize = 1 << 20;
const PAGE: usize = 4096;

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["hold", mib] => hold(mib.parse().map_err(io::Error::other)?),
        ["crash", device] => crash(device),
        _ => Err(io::Error::other(
            "usage: guest_load hold MIB | crash DEVICE",
        )),
    }
}

/// Memory that stays until the guest ends.
fn map(bytes: usize, flags: MapFlags) -> Result<&'static mut [u8], Errno> {
    // SAFETY: no address is asked for, so nothing that exists is touched.
    let start =
        unsafe { mmap_anonymous(null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, flags)? };
    // SAFETY: `bytes` bytes from `start` on were just mapped, for reading and writing, and are never unmapped.
    Ok(unsafe { std::slice::from_raw_parts_mut(start.cast(), bytes) })
}

fn advise(memory: &mut [u8], advice: Advice) -> Result<(), Errno> {
    // SAFETY: the advice (huge pages or not) changes no contents of this mapping.
    unsafe { madvise(memory.as_mut_ptr().cast(), memory.len(), advice) }
}

/// Contents like those of programs: their text, pointers and small numbers, zeros, and some that do not compress.
fn fill(memory: &mut [u8], text: &[u8], seed: usize) {
    let mut noise = seed as u64 | 1;
    for (i, page) in memory.chunks_mut(PAGE).enumerate() {
        match (seed + i) % 8 {
            0..4 => {
                let at = (seed * 131 + i * PAGE) % (text.len() - PAGE);
                page.copy_from_slice(&text[at..at + page.len()]);
            }
            4..6 => page.chunks_mut(8).enumerate().for_each(|(j, word)| {
                let value = if j % 3 == 0 {
                    0xffff_8880_0000_0000 + ((i * 64 + j) as u64) * 192
                } else {
                    (j % 7) as u64
                };
                word.copy_from_slice(&value.to_le_bytes()[..word.len()]);
            }),
            // Touched, so that there is a page.
            6 => page.fill(0),
            _ => page.chunks_mut(8).for_each(|word| {
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                word.copy_from_slice(&noise.to_le_bytes()[..word.len()]);
            }),
        }
    }
}

fn hold(mib: usize) -> io::Result<()> {
    let text = fs::read("/proc/self/exe")?;
    let part = |percent: usize| (mib * percent / 100 + 1).next_multiple_of(2) * MIB;
    let mut memory = Vec::new();
    for (percent, advice, flags) in [
        (30, Some(Advice::LinuxNoHugepage), MapFlags::PRIVATE),
        (30, Some(Advice::LinuxHugepage), MapFlags::PRIVATE),
        (10, None, MapFlags::SHARED),
        (8, None, MapFlags::PRIVATE | MapFlags::HUGETLB),
    ] {
        let part = map(part(percent), flags)?;
        advice.map_or(Ok(()), |advice| advise(part, advice))?;
        fill(part, &text, percent);
        memory.push(part);
    }
    // Half of the ordinary pages of the first part are given back, so that there are free pages between used ones.
    let holes = &mut *memory[0];
    for chunk in holes.chunks_mut(16 * PAGE) {
        // SAFETY: the pages of this mapping may lose their contents; nobody reads them again.
        unsafe { madvise(chunk.as_mut_ptr().cast(), 7 * PAGE, Advice::LinuxDontNeed)? };
    }
    files(&text, mib)?;
    let held = pipes_and_sockets()?;
    println!("ready");
    std::thread::sleep(Duration::from_secs(3600));
    drop((memory, held));
    Ok(())
}

/// Page cache and the slabs of file systems: tmpfs on /tmp, a disk on /mnt.
fn files(text: &[u8], mib: usize) -> io::Result<()> {
    for folder in ["/tmp", "/mnt"] {
        for i in 0..mib / 20 + 1 {
            let mut contents = text[..text.len().min(2 * MIB)].to_vec();
            contents[..8].copy_from_slice(&(i as u64).to_le_bytes());
            fs::write(format!("{folder}/file{i}"), contents)?;
        }
        for i in 0..2000 {
            fs::create_dir_all(format!("{folder}/folder{}/{i}", i % 7))?;
        }
    }
    // Part of it clean and mapped to the disk, part of it dirty.
    for i in 0..mib / 40 {
        File::open(format!("/mnt/file{i}"))?.sync_all()?;
        io::copy(&mut File::open(format!("/mnt/file{i}"))?, &mut io::sink())?;
    }
    Ok(())
}

fn pipes_and_sockets() -> io::Result<Vec<UnixStream>> {
    let mut held = Vec::new();
    for i in 0..40u8 {
        let (mut left, right) = UnixStream::pair()?;
        left.set_nonblocking(true)?;
        // As much as the buffers take.
        while left.write(&[i; 3000]).is_ok() {}
        held.extend([left, right]);
    }
    Ok(held)
}

/// The buffer is there and locked before the snapshot begins, so that next to nothing changes until the crash.
fn crash(device: &str) -> io::Result<()> {
    let mut flags = File::open("/proc/kpageflags")?;
    let mut trigger = OpenOptions::new().write(true).open("/proc/sysrq-trigger")?;
    // Past the page cache, which is part of what is looked at.
    let direct = rustix::fs::OFlags::DIRECT.bits() as i32;
    let mut disk = OpenOptions::new()
        .write(true)
        .custom_flags(direct)
        .open(device)?;
    let buf = map(16 * MIB, MapFlags::PRIVATE)?;
    // SAFETY: locking changes no contents.
    unsafe { mlock(buf.as_mut_ptr().cast(), buf.len())? };
    let mut filled = PAGE;
    loop {
        let bytes = flags.read(&mut buf[filled..])?;
        if bytes == 0 {
            break;
        }
        filled += bytes;
    }
    buf[..8].copy_from_slice(&(filled as u64 - PAGE as u64).to_le_bytes());
    disk.write_all(&buf[..filled.next_multiple_of(PAGE)])?;
    disk.sync_all()?;
    trigger.write_all(b"c")
}
