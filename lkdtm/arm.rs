// SPDX-License-Identifier: GPL-2.0

//! Arming: from a name to a registered probe that counts and fires.

use crate::{
    countdown::Countdown,
    faults,
    points::{Place, Point},
    types::{Fault, Type},
};
use kdump::{kprobe, print};
use kernel::{fmt, prelude::*, str::CString};

/// What to do at a crash point.
#[derive(Clone, Copy)]
pub(crate) struct Order {
    /// How to crash.
    pub(crate) kind: &'static Type,
    /// On which hit, from 1.
    pub(crate) count: u32,
    /// Depth of the recursion of OVERFLOW.
    pub(crate) recur_count: u32,
}

/// What a probe carries: counts hits, fires on the right one.
pub(crate) struct Shot {
    countdown: Countdown,
    order: Order,
    /// What is said when it fires, made beforehand because a handler must not format.
    message: CString,
}

impl Shot {
    fn new(point: &dyn fmt::Display, symbol: &dyn fmt::Display, order: Order) -> Result<Self> {
        let hits = (order.kind.fault != Fault::None).then_some(order.count);
        Ok(Self {
            countdown: Countdown::new(hits),
            order,
            message: CString::try_from_fmt(fmt!(
                "crash point {point} fires: symbol={symbol} type={}",
                order.kind.name
            ))?,
        })
    }

    /// The firing hit: says so in the log, which every context allows because the consoles are left alone, and crashes.
    #[cold]
    #[inline(never)]
    #[link_section = ".kprobes.text"]
    fn fire(&self) {
        print::alert_deferred(c"lkdtm", &self.message);
        faults::run(self.order.kind.fault, self.order.recur_count);
    }
}

impl kprobe::Handler for Shot {
    #[inline(always)]
    fn hit(&self) {
        if self.countdown.hit() {
            self.fire();
        }
    }
}

/// An armed crash point; disarmed when dropped.
pub(crate) type Armed = Pin<KBox<kprobe::Kprobe<Shot>>>;

/// Crashes here and now; returns if the fault does.
pub(crate) fn direct(point: &Point, order: Order) -> Result {
    let order = Order { count: 1, ..order };
    let shot = Shot::new(&point.name, &"-", order)?;
    log_armed(&point.name, &"-", order);
    shot.fire();
    Ok(())
}

/// Arms a point of the table at the first of its symbols that can be probed.
///
/// # Errors
///
/// `ENOENT`: this kernel has none of the symbols. Otherwise why the last of those it has cannot be probed.
pub(crate) fn point(point: &Point, order: Order) -> Result<Armed> {
    let mut error = ENOENT;
    for symbol in point.symbols {
        match probe(&point.name, Place::entry(symbol), order) {
            Ok(armed) => return Ok(armed),
            Err(e) if e == ENOENT => {}
            Err(e) => error = e,
        }
    }
    pr_err!(
        "crash point {}: cannot be armed on this kernel ({error:?}); tried {}\n",
        point.name,
        List(point.symbols)
    );
    Err(error)
}

/// Arms any place in the kernel, given as `[module:]symbol[+offset]`.
///
/// # Errors
///
/// As [`kprobe::Kprobe::register`].
pub(crate) fn place(name: &str, place: Place<'_>, order: Order) -> Result<Armed> {
    probe(&name, place, order)
}

fn probe(name: &dyn fmt::Display, place: Place<'_>, order: Order) -> Result<Armed> {
    let shot = Shot::new(name, &place, order)?;
    let symbol = CString::try_from_fmt(fmt!("{}", place.symbol))?;
    let armed = KBox::pin_init(
        kprobe::Kprobe::register(symbol, place.offset_bytes, shot),
        GFP_KERNEL,
    )?;
    log_armed(name, &place, order);
    Ok(armed)
}

/// A line for people and for tests: keep its form.
fn log_armed(name: &dyn fmt::Display, symbol: &dyn fmt::Display, order: Order) {
    pr_info!(
        "crash point {name} armed: symbol={symbol} type={} count={}\n",
        order.kind.name,
        order.count
    );
}

/// Names, separated by commas.
pub(crate) struct List<'a>(pub(crate) &'a [&'a str]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.0.iter().enumerate() {
            write!(f, "{}{name}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

// The kernel's formatting macros use a trait of their own.
impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}
