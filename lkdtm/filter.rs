// SPDX-License-Identifier: GPL-2.0

//! Which hits count: on which CPU, by which task.

/// Length of a task's name with its terminator: TASK_COMM_LEN, include/linux/sched.h.
pub const COMM_BYTES: usize = 16;

/// Hits count only if all that is set holds. The default lets every hit count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Filter {
    /// The CPU.
    pub cpu: Option<u32>,
    /// The task's ID: pid in the initial namespace, of a thread.
    pub pid: Option<i32>,
    /// The task's name, filled up with zeroes.
    pub comm: Option<[u8; COMM_BYTES]>,
}

impl Filter {
    /// A name as the kernel stores it: at most 15 bytes, filled up with zeroes. None if empty or longer.
    pub fn comm_from(text: &str) -> Option<[u8; COMM_BYTES]> {
        let bytes = text.as_bytes();
        if bytes.is_empty() || bytes.len() >= COMM_BYTES || bytes.contains(&0) {
            return None;
        }
        let mut comm = [0; COMM_BYTES];
        comm[..bytes.len()].copy_from_slice(bytes);
        Some(comm)
    }

    /// Whether every hit counts.
    #[inline(always)]
    pub fn is_open(&self) -> bool {
        self.cpu.is_none() && self.pid.is_none() && self.comm.is_none()
    }

    /// Whether a hit on `cpu` by the task `pid` named `comm` counts. Bytes behind the end of `comm` do not matter.
    #[inline(always)]
    pub fn matches(&self, cpu: u32, pid: i32, comm: &[u8; COMM_BYTES]) -> bool {
        self.cpu.is_none_or(|want| want == cpu)
            && self.pid.is_none_or(|want| want == pid)
            && self.comm.as_ref().is_none_or(|want| same_name(want, comm))
    }
}

/// Compares up to the terminator.
#[inline(always)]
fn same_name(a: &[u8; COMM_BYTES], b: &[u8; COMM_BYTES]) -> bool {
    let mut i = 0;
    while i < COMM_BYTES {
        if a[i] != b[i] {
            return false;
        }
        if a[i] == 0 {
            return true;
        }
        i += 1;
    }
    true
}
