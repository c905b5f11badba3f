// SPDX-License-Identifier: GPL-2.0-or-later
//! kexec_file_load(2): one system call, no kexec-tools.

use anyhow::{Context, Result};
use rustix::io::Errno;
use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

// include/uapi/linux/kexec.h
const KEXEC_FILE_UNLOAD: libc::c_ulong = 0x1;
const KEXEC_FILE_ON_CRASH: libc::c_ulong = 0x2;
/// Somebody else's load takes about a second.
const BUSY_WAIT: Duration = Duration::from_secs(10);

/// Loads `kernel` with `initramfs` and `cmdline` into the memory that crashkernel= reserved.
///
/// # Errors
/// The kernel's errno, with what it means here and what to do. Whatever was loaded before is then no longer loaded: the
/// kernel frees the old image first.
pub fn load(kernel: &Path, initramfs: &File, cmdline: &str) -> Result<()> {
    let kernel_file = File::open(kernel)
        .with_context(|| format!("opening the capture kernel {}", kernel.display()))?;
    let text = CString::new(cmdline).context("the capture kernel's command line has a NUL byte")?;
    let fds = [kernel_file.as_raw_fd(), initramfs.as_raw_fd()];
    call(fds, text.as_bytes_with_nul(), KEXEC_FILE_ON_CRASH)
        .map_err(|errno| explained(errno, "loading"))
        .with_context(|| format!("kexec_file_load of {}", kernel.display()))
}

/// Removes the loaded capture kernel; removing none is fine.
///
/// # Errors
/// As [`load`].
pub fn unload() -> Result<()> {
    call([-1, -1], b"", KEXEC_FILE_UNLOAD | KEXEC_FILE_ON_CRASH)
        .map_err(|errno| explained(errno, "unloading"))
        .context("kexec_file_load to unload")
}

/// The system call; repeats while another load holds the kernel's lock.
fn call(fds: [RawFd; 2], cmdline: &[u8], flags: libc::c_ulong) -> Result<(), Errno> {
    let end = Instant::now() + BUSY_WAIT;
    loop {
        // SAFETY: the descriptors are open for the whole call, or -1 where the flags make the kernel ignore them; `cmdline`
        // is readable for the length given, which includes its NUL. The kernel only reads through these arguments.
        let status = unsafe {
            libc::syscall(
                libc::SYS_kexec_file_load,
                fds[0],
                fds[1],
                cmdline.len(),
                cmdline.as_ptr(),
                flags,
            )
        };
        if status == 0 {
            return Ok(());
        }
        let errno = Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO);
        if errno != Errno::BUSY || Instant::now() > end {
            return Err(errno);
        }
        sleep(Duration::from_millis(100));
    }
}

fn explained(errno: Errno, verb: &str) -> anyhow::Error {
    anyhow::Error::new(std::io::Error::from(errno)).context(format!("{verb}: {}", advice(errno)))
}

/// What an errno of this system call means and what to do about it (kernel/kexec_file.c, arch/x86/kernel/kexec-bzimage64.c).
fn advice(errno: Errno) -> String {
    let reserved = reserved_bytes();
    let meaning = match errno {
        Errno::PERM => {
            if !rustix::process::geteuid().is_root() {
                "this needs CAP_SYS_BOOT: run it as root".to_owned()
            } else if read("/proc/sys/kernel/kexec_load_disabled") == "1" {
                "kernel.kexec_load_disabled is 1, which only a reboot takes back".to_owned()
            } else if read("/proc/sys/kernel/kexec_load_limit_panic") == "0" {
                "kernel.kexec_load_limit_panic is 0: no more loads until the next boot".to_owned()
            } else {
                lockdown_advice()
            }
        }
        Errno::NOEXEC => "the kernel takes this file for no bzImage that it can start; dmesg has its reason".into(),
        Errno::ADDRNOTAVAIL if reserved == 0 => {
            "no memory is reserved: boot with crashkernel=SIZE (`kdumpkit estimate` says how much)".into()
        }
        Errno::ADDRNOTAVAIL => format!(
            "kernel and initramfs do not fit into the {reserved} bytes that crashkernel= reserved, or the hole is below the \
             image's pref_address: boot with a larger crashkernel="
        ),
        Errno::NOMEM if reserved == 0 => "no memory is reserved: boot with crashkernel=SIZE".into(),
        Errno::NOMEM => "the running kernel has too little free memory to read the files".into(),
        Errno::BUSY => format!(
            "another kexec load has been running for {} s: see who holds it",
            BUSY_WAIT.as_secs()
        ),
        Errno::INVAL => "the command line is too long for this image, or the file is larger than the kernel takes".into(),
        Errno::BADMSG | Errno::NODATA | Errno::NOKEY | Errno::KEYREJECTED | Errno::NOPKG => {
            "the image's signature is missing or not trusted by this kernel (KEXEC_SIG_FORCE or Secure Boot): use the \
             distribution's signed image"
                .into()
        }
        Errno::NOSYS => "this kernel has no kexec_file_load (CONFIG_KEXEC_FILE)".into(),
        _ => "unexpected; dmesg may have the reason".into(),
    };
    format!("{meaning} ({})", name(errno))
}

fn lockdown_advice() -> String {
    let lockdown = read("/sys/kernel/security/lockdown");
    let mode = lockdown
        .split(['[', ']'])
        .nth(1)
        .unwrap_or("cannot be read");
    format!(
        "refused; kernel lockdown is \"{mode}\": with Secure Boot only the distribution's signed image can be loaded"
    )
}

fn name(errno: Errno) -> String {
    let known = [
        (Errno::PERM, "EPERM"),
        (Errno::NOEXEC, "ENOEXEC"),
        (Errno::ADDRNOTAVAIL, "EADDRNOTAVAIL"),
        (Errno::NOMEM, "ENOMEM"),
        (Errno::BUSY, "EBUSY"),
        (Errno::INVAL, "EINVAL"),
        (Errno::NOSYS, "ENOSYS"),
        (Errno::KEYREJECTED, "EKEYREJECTED"),
        (Errno::NODATA, "ENODATA"),
        (Errno::NOKEY, "ENOKEY"),
    ];
    known.iter().find(|(code, _)| *code == errno).map_or_else(
        || format!("errno {}", errno.raw_os_error()),
        |(_, name)| (*name).to_owned(),
    )
}

/// Size of the memory reserved by crashkernel=, 0 when there is none.
#[must_use]
pub fn reserved_bytes() -> u64 {
    read("/sys/kernel/kexec_crash_size").parse().unwrap_or(0)
}

/// Is a capture kernel loaded?
#[must_use]
pub fn is_loaded() -> bool {
    read("/sys/kernel/kexec_crash_loaded") == "1"
}

fn read(path: &str) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}
