// SPDX-License-Identifier: GPL-2.0-or-later
//! One crash to try: which point, which type, on which kernel, under which load.

use crate::init::{Collector, Load};
use std::time::Duration;

/// One cell of the matrix.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// lkdtm's cpoint_name.
    pub point: String,
    /// lkdtm's cpoint_type.
    pub crash_type: String,
    /// lkdtm's cpoint_count; None leaves lkdtm's default.
    pub count: Option<u32>,
    /// lkdtm's recur_count; None leaves lkdtm's default.
    pub recur: Option<u32>,
    /// crashkernel= of the first kernel.
    pub crashkernel: String,
    /// What writes the dump.
    pub collector: Collector,
    /// How long the whole cycle may take.
    pub deadline: Duration,
    /// Make the capture kernel hang, to see that this is noticed.
    pub hang_capture: bool,
}

impl Scenario {
    /// Short name for folders and progress lines.
    #[must_use]
    pub fn name(&self) -> String {
        let name = format!("{}-{}", self.point, self.crash_type);
        name.chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || "-_+.".contains(c) {
                    c
                } else {
                    '_'
                }
            })
            .collect()
    }

    /// Parameters of `modprobe lkdtm`.
    #[must_use]
    pub fn lkdtm_parameters(&self) -> Vec<String> {
        let mut parameters = vec![
            format!("cpoint_name={}", self.point),
            format!("cpoint_type={}", self.crash_type),
        ];
        parameters.extend(self.count.map(|n| format!("cpoint_count={n}")));
        parameters.extend(self.recur.map(|n| format!("recur_count={n}")));
        parameters
    }

    /// Load under which this point fires.
    #[must_use]
    pub fn loads(&self) -> Vec<Load> {
        vec![
            Load::Block {
                device: "/dev/vdb".into(),
            },
            Load::Timer,
        ]
    }
}
