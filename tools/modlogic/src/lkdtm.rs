// SPDX-License-Identifier: GPL-2.0-or-later
//! lkdtm.ko: crash points, crash types, countdown.

#[path = "../../../lkdtm/countdown.rs"]
pub mod countdown;
#[path = "../../../lkdtm/filter.rs"]
pub mod filter;
#[path = "../../../lkdtm/points.rs"]
pub mod points;
#[path = "../../../lkdtm/spec.rs"]
pub mod spec;
#[path = "../../../lkdtm/types.rs"]
pub mod types;
