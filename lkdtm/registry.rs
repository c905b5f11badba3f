// SPDX-License-Identifier: GPL-2.0

//! Everything that is armed: at most one crash at each point, any number at places that are no points.

use crate::{
    arm::Armed, faults::elsewhere::InNmi, points::Point, spec::Spec, target::Target, types::RunIn,
};
use kdump::{module, nmi};
use kernel::{
    fmt,
    prelude::*,
    sync::{new_mutex, Arc, Mutex},
};

/// See the [module documentation](self). Disarms everything when dropped.
#[pin_data]
pub(crate) struct Registry {
    #[pin]
    all: Mutex<All>,
}

/// In this order they are dropped.
struct All {
    armed: KVec<Armed>,
    /// From the first time that something needs it: it is found by its name, so there can be only one.
    nmi: Option<Pin<KBox<nmi::Registration>>>,
}

impl Registry {
    /// Nothing is armed.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            all <- new_mutex!(All { armed: KVec::new(), nmi: None })
        })
    }

    /// Arms a target. What was armed at the same point is disarmed first, even if this fails: two probes at one place
    /// would both count.
    ///
    /// # Errors
    ///
    /// As [`Armed::new`].
    pub(crate) fn arm(&self, target: Target, spec: &Spec) -> Result {
        self.prepare(spec)?;
        let mut all = self.all.lock();
        if let Some(point) = target.point() {
            all.armed.retain(|a| !at(a, Some(point)));
        }
        // Under the lock, so that a module that comes meanwhile finds it.
        all.armed.push(Armed::new(target, spec)?, GFP_KERNEL)?;
        Ok(())
    }

    /// Makes ready what a fault needs where it happens.
    ///
    /// # Errors
    ///
    /// There is no memory for it.
    pub(crate) fn prepare(&self, spec: &Spec) -> Result {
        let mut all = self.all.lock();
        if spec.run_in == RunIn::Nmi && all.nmi.is_none() {
            let nmi = nmi::Registration::new::<InNmi>(c"lkdtm");
            all.nmi = Some(KBox::pin_init(nmi, GFP_KERNEL)?);
        }
        Ok(())
    }

    /// Disarms a point, or all places that are none.
    pub(crate) fn disarm(&self, point: Option<&'static Point>) {
        self.all.lock().armed.retain(|a| !at(a, point));
    }

    /// The state of a point, or of all places that are none: a line each, or one that says none.
    pub(crate) fn show(
        &self,
        f: &mut fmt::Formatter<'_>,
        point: Option<&'static Point>,
    ) -> fmt::Result {
        let all = self.all.lock();
        let mut none = true;
        for armed in all.armed.iter().filter(|a| at(a, point)) {
            f.write_fmt(fmt!("Armed: {armed}\n"))?;
            none = false;
        }
        if none {
            writeln!(f, "Armed: none")?;
        }
        Ok(())
    }
}

/// Whether it is at this point; `None`: at none.
fn at(armed: &Armed, point: Option<&'static Point>) -> bool {
    match (armed.target.point(), point) {
        (Some(a), Some(b)) => core::ptr::eq(a, b),
        (a, b) => a.is_none() && b.is_none(),
    }
}

/// Hears of modules for a [`Registry`].
pub(crate) struct Modules(pub(crate) Arc<Registry>);

impl module::Watcher for Modules {
    fn coming(&self, name: &str) {
        self.0
            .all
            .lock()
            .armed
            .iter_mut()
            .for_each(|a| a.coming(name));
    }

    fn going(&self, name: &str) {
        self.0
            .all
            .lock()
            .armed
            .iter_mut()
            .for_each(|a| a.going(name));
    }
}
