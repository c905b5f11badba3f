// SPDX-License-Identifier: GPL-2.0-or-later
//! reset_devices.ko: which device is reset how, in which order, and how long each is waited for.

#[path = "../../../reset/params.rs"]
pub mod params;
#[path = "../../../reset/plan.rs"]
pub mod plan;
#[path = "../../../reset/report.rs"]
pub mod report;
#[path = "../../../reset/sequence.rs"]
pub mod sequence;
#[path = "../../../reset/topology.rs"]
pub mod topology;
#[path = "../../../reset/wait.rs"]
pub mod wait;
