// SPDX-License-Identifier: GPL-2.0

//! Says at arming time why a crash would not end in a dump.

use crate::{
    arm::List,
    points::{Contexts, TASK},
    spec::Spec,
    types::{Needs, RunIn},
};
use kdump::{kexec, sysctl};
use kernel::prelude::*;

/// Logs a warning for each reason why `spec` at a point that is hit in `contexts` may not end in a dump.
///
/// Context: task, may sleep.
pub(crate) fn warn(spec: &Spec, contexts: Contexts) {
    let name = spec.kind.name;
    if spec.kind.needs == Needs::Never {
        return;
    }
    if !kexec::crash_loaded() {
        pr_warn!("warning: no capture kernel is loaded, so a crash leaves no dump\n");
    }
    if spec.kind.needs == Needs::Debugging {
        pr_warn!("warning: type {name}: a kernel without memory debugging does not notice it, or crashes later\n");
    }
    let in_task = matches!(
        spec.run_in,
        RunIn::Same | RunIn::IrqsOff | RunIn::StopIrqsOff
    ) && contexts & TASK != 0;
    if spec.kind.needs == Needs::PanicOnOops && !in_task {
        return;
    }
    let sysctls = spec.kind.needs.sysctls();
    if !sysctls.is_empty() && sysctls.iter().all(|s| sysctl::read(s).unwrap_or(0) == 0) {
        let effect = match spec.kind.needs {
            Needs::PanicOnOops => "in a task it only kills the task",
            Needs::PanicOnWarn => "it only warns",
            _ => "it only hangs",
        };
        pr_warn!(
            "warning: type {name}: {effect}; for a dump write 1 to /proc/sys/{}\n",
            List(sysctls)
        );
    }
}
