// SPDX-License-Identifier: GPL-2.0-or-later
//! One crash to try: which point, which type, on which kernel, under which load.

use crate::init::{Collector, Load};
use modlogic::lkdtm::points::Point;
use modlogic::lkdtm::types::{Needs, Type};
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

    fn is(&self, point: &str, crash_type: &str) -> bool {
        Point::find(&self.point).is_some_and(|p| p.name == point)
            && Type::find(&self.crash_type).is_some_and(|t| t.name == crash_type)
    }

    /// Parameters of `modprobe lkdtm`.
    #[must_use]
    pub fn lkdtm_parameters(&self) -> Vec<String> {
        let mut parameters = vec![
            format!("cpoint_name={}", self.point),
            format!("cpoint_type={}", self.crash_type),
        ];
        // The boot CPU's idle task starts timers too, and below its init_stack there is no guard page: an overflow
        // there may be noticed late or break anything. The other CPUs' idle tasks have one.
        if self.is("TIMERADD", "OVERFLOW") {
            parameters.push("cpoint_cpu=1".to_owned());
        }
        parameters.extend(self.count.map(|n| format!("cpoint_count={n}")));
        parameters.extend(self.recur.map(|n| format!("recur_count={n}")));
        parameters
    }

    /// Load under which this point fires.
    #[must_use]
    pub fn loads(&self) -> Vec<Load> {
        let mut loads = vec![
            Load::Block {
                device: "/dev/vdb".into(),
            },
            Load::Timer,
        ];
        match Point::find(&self.point).map(|p| p.name) {
            // The dump's disk is larger than the guest's memory, and only read.
            Some("MEM_SWAPOUT") => loads.push(Load::Memory {
                device: "/dev/vda".into(),
            }),
            Some("FS_SUBMIT_BH") => loads.push(Load::Buffered {
                device: "/dev/vdb".into(),
            }),
            _ => {}
        }
        loads
    }

    /// Settings without which this type does not crash.
    #[must_use]
    pub fn sysctls(&self) -> Vec<(String, String)> {
        let needs = Type::find(&self.crash_type).map_or(Needs::Nothing, |t| t.needs);
        let mut sysctls: Vec<(String, String)> = needs
            .sysctls()
            .iter()
            .map(|path| (path.replace('/', "."), "1".to_owned()))
            .collect();
        let mut set = |name: &str, value: &str| sysctls.push((name.to_owned(), value.to_owned()));
        match needs {
            // Twice this until a soft lockup is reported.
            Needs::Watchdog => set("kernel.watchdog_thresh", "5"),
            Needs::HungTaskPanic => set("kernel.hung_task_timeout_secs", "5"),
            _ => {}
        }
        sysctls
    }
}
