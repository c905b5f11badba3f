// SPDX-License-Identifier: GPL-2.0-or-later
//! kdumpkit: everything that userspace does for kdump, in one static binary.

mod atomic;
pub mod blockdev;
pub mod config;
pub mod early;
pub mod estimate;
pub mod event;
pub mod facts;
pub mod filter;
pub mod init;
pub mod initramfs;
pub mod load;
pub mod master;
pub mod matrix;
pub mod mkdfinfo;
pub mod report;
pub mod status;
pub mod test;
pub mod tree;
pub mod vm;
