// SPDX-License-Identifier: GPL-2.0-or-later
//! QEMU guests: start one, hear its events, end it at its deadline. Every run ends as off, lost or broken.

mod accel;
mod console;
mod heard;
mod lab;
mod machine;
mod qmp;
mod story;

pub use accel::Accel;
pub use heard::Heard;
pub use lab::Lab;
pub use machine::{CONSOLE, End, Machine, QMP, capture_cmdline};
pub use qmp::human;
pub use story::Story;
