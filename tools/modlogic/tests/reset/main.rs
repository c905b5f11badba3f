// SPDX-License-Identifier: GPL-2.0-or-later
//! reset_devices.ko's decisions: parameters, plan and sequence, on hand-made and generated topologies.

mod generate;
mod params;
mod plan;
mod plan_properties;
mod report;
mod sequence;
mod sequence_properties;
mod simulation;
mod wait;
