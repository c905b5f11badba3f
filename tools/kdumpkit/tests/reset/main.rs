// SPDX-License-Identifier: GPL-2.0-or-later
//! reset_devices.ko in guests: `cargo test -p kdumpkit --test reset -- --ignored` (needs root, the build root, a kernel
//! and the built modules: `make modules`).

mod dma;
mod dumps;
mod events;
mod guest;
mod harness;
mod single;
mod topologies;
mod topology;
mod traffic;
