// SPDX-License-Identifier: GPL-2.0-or-later
//! A promise of the kernel that a file stays as it is, without which mapping it would be dangerous: what another process cuts off
//! ends this one with SIGBUS.
//!
//! A read lease (fcntl(2), F_SETLEASE) is given while nobody has the file open for writing. Who then wants to write or truncate waits
//! until the lease is given back, at most /proc/sys/fs/lease-break-time (45 s).

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Arc;

/// Which signal tells that somebody waits (include/uapi/asm-generic/fcntl.h); libc has no name for it.
const F_SETSIG: libc::c_int = 10;

/// A read lease, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Lease(Arc<File>);

impl Lease {
    /// None where there are writers, on file systems without leases, and for files of others.
    pub(super) fn take(file: &Arc<File>) -> Option<Lease> {
        let set = |command, argument: libc::c_int| {
            // SAFETY: both commands take a number and touch nothing but the open file.
            unsafe { libc::fcntl(file.as_raw_fd(), command, argument) == 0 }
        };
        // Told by a signal that is ignored by default instead of SIGIO, which would end the process: `holds` asks.
        (set(F_SETSIG, libc::SIGURG) && set(libc::F_SETLEASE, libc::F_RDLCK))
            .then(|| Lease(Arc::clone(file)))
    }

    /// Whether nobody waits for its end.
    pub(super) fn holds(&self) -> bool {
        // SAFETY: the command takes no argument and touches nothing.
        unsafe { libc::fcntl(self.0.as_raw_fd(), libc::F_GETLEASE) == libc::F_RDLCK }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // SAFETY: the command takes a number and touches nothing but the open file.
        unsafe { libc::fcntl(self.0.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK) };
    }
}
