// SPDX-License-Identifier: GPL-2.0

//! What a probe carries: counts hits, fires on the right one.

use crate::{countdown::Countdown, faults, spec::Spec, types::Fault};
use kdump::{
    kprobe::{self, GoOn},
    print, task,
};
use kernel::{fmt, prelude::*, str::CString};

/// See the [module documentation](self).
pub(crate) struct Shot {
    pub(crate) countdown: Countdown,
    spec: Spec,
    /// What is said when it fires, made beforehand because a handler must not format.
    message: CString,
}

impl Shot {
    /// For a point and the symbol that stands for it.
    pub(crate) fn new(point: &str, symbol: &dyn fmt::Display, spec: &Spec) -> Result<Self> {
        let hits = (spec.kind.fault != Fault::None).then_some(spec.count);
        Ok(Self {
            countdown: Countdown::new(hits),
            spec: *spec,
            message: CString::try_from_fmt(fmt!(
                "crash point {point} fires: symbol={symbol} type={}",
                spec.kind.name
            ))?,
        })
    }

    /// The firing hit: says so in the log, which every context allows because the consoles are left alone, and crashes.
    #[cold]
    #[inline(never)]
    #[link_section = ".kprobes.text"]
    pub(crate) fn fire(&self) -> GoOn {
        print::alert_deferred(c"lkdtm", &self.message);
        faults::run(&self.spec);
        GoOn::rarely()
    }
}

impl kprobe::Handler for Shot {
    #[inline(always)]
    fn hit(&self) -> GoOn {
        if self.countdown.hit() {
            return self.fire();
        }
        GoOn::YES
    }

    fn filters(&self) -> bool {
        !self.spec.filter.is_open()
    }

    #[inline(always)]
    fn hit_filtered(&self) -> GoOn {
        let (pid, comm) = task::current();
        if self.spec.filter.matches(task::cpu(), pid, &comm) {
            return self.hit();
        }
        GoOn::YES
    }
}
