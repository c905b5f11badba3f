// SPDX-License-Identifier: GPL-2.0-or-later
//! Dumps to every kind of target, and what happens when a target fails. A real kernel crashes, a real server takes the dump.
//!
//! `cargo test -p kdumpkit --profile guest --test targets -- --ignored` runs all of it; make check leaves some of it out.

mod faults;
mod guest;
mod initramfs;
mod local;
mod minimum;
mod network;
mod sequence;
mod server;
mod trunk;
