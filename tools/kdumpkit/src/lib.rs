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

use std::process::ExitCode;

/// What both programs are besides their subcommands: /init as PID 1, udhcpc's script under that name. An error of `command`
/// goes to standard error and makes status 1.
pub fn program(command: impl FnOnce() -> anyhow::Result<ExitCode>) -> ExitCode {
    if std::process::id() == 1 {
        init::main();
    }
    if let Some(status) = init::capture::as_udhcpc_script() {
        return status;
    }
    command().unwrap_or_else(|error| {
        eprintln!("kdumpkit: error: {error:#}");
        ExitCode::from(1)
    })
}
