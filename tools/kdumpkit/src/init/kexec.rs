// SPDX-License-Identifier: GPL-2.0-or-later
//! kexec_file_load(2): one system call, no kexec-tools.

use anyhow::{Context, Result};
use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::AsRawFd;

/// include/uapi/linux/kexec.h
const KEXEC_FILE_ON_CRASH: libc::c_ulong = 0x2;

/// Loads `kernel` with `initramfs` and `cmdline` into the memory that crashkernel= reserved.
///
/// # Errors
/// EADDRNOTAVAIL: the image does not fit into the reserved memory. ENOEXEC: not a kernel image. EPERM: lockdown or
/// kexec_load_disabled. ENOMEM: no crashkernel= memory at all.
pub fn load_crash_kernel(kernel: &str, initramfs: &str, cmdline: &str) -> Result<()> {
    let kernel_file =
        File::open(kernel).with_context(|| format!("opening the capture kernel {kernel}"))?;
    let initramfs_file = File::open(initramfs).with_context(|| format!("opening {initramfs}"))?;
    let text = CString::new(cmdline).context("the capture kernel's command line has a NUL byte")?;
    // SAFETY: both descriptors are open for the whole call, and `text` is NUL-terminated; the length that the system
    // call takes includes that NUL. The kernel only reads through these arguments.
    let status = unsafe {
        libc::syscall(
            libc::SYS_kexec_file_load,
            kernel_file.as_raw_fd(),
            initramfs_file.as_raw_fd(),
            text.as_bytes_with_nul().len(),
            text.as_ptr(),
            KEXEC_FILE_ON_CRASH,
        )
    };
    if status == 0 {
        return Ok(());
    }
    let reserved = reserved_bytes();
    Err(std::io::Error::last_os_error()).with_context(|| {
        format!("kexec_file_load of {kernel} into {reserved} reserved bytes (0: no crashkernel= on the command line)")
    })
}

/// Size of the memory reserved by crashkernel=, 0 when there is none.
pub fn reserved_bytes() -> u64 {
    let text = fs::read_to_string("/sys/kernel/kexec_crash_size").unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}
