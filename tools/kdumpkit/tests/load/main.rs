// SPDX-License-Identifier: GPL-2.0-or-later
//! `kdumpkit load` in guests: `cargo test -p kdumpkit --release --test load -- --ignored` (needs root and the build root).

mod addresses;
mod config;
mod early;
mod estimate;
mod guest;
mod refusals;
