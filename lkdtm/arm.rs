// SPDX-License-Identifier: GPL-2.0

//! Arming: from a name to a registered probe that counts and fires.

use crate::{
    complain,
    countdown::Countdown,
    faults::{self, elsewhere::InNmi},
    harmless,
    points::{Place, Point, ANY, TASK},
    spec::Spec,
    types::{Fault, RunIn},
};
use kdump::{
    kprobe::{self, GoOn},
    nmi, print, task,
};
use kernel::{fmt, prelude::*, str::CString};

/// What a probe carries: counts hits, fires on the right one.
pub(crate) struct Shot {
    countdown: Countdown,
    spec: Spec,
    /// What is said when it fires, made beforehand because a handler must not format.
    message: CString,
}

impl Shot {
    fn new(point: &dyn fmt::Display, symbol: &dyn fmt::Display, spec: &Spec) -> Result<Self> {
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
    fn fire(&self) -> GoOn {
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

/// An armed crash point; disarmed when dropped.
pub(crate) struct Armed {
    probe: Pin<KBox<kprobe::Kprobe<Shot>>>,
    name: CString,
    symbol: CString,
    /// Held while the probe may fire.
    _nmi: Option<Pin<KBox<nmi::Registration>>>,
}

impl fmt::Display for Armed {
    /// The state, as debugfs shows it: `KEY=VALUE`, separated by blanks. Documented in ABI/testing/debugfs-lkdtm.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shot = self.probe.handler();
        f.write_fmt(fmt!(
            "point={} symbol={} type={} count={} hits={} left={} missed={} fired={}",
            Text(&self.name),
            Text(&self.symbol),
            shot.spec.kind.name,
            shot.spec.count,
            shot.countdown.hits(),
            shot.countdown.left(),
            self.probe.missed(),
            if shot.countdown.fired() { "yes" } else { "no" },
        ))
    }
}

/// Crashes here and now; returns if the fault does.
pub(crate) fn direct(point: &Point, spec: &Spec) -> Result {
    let spec = Spec { count: 1, ..*spec };
    let shot = Shot::new(&point.name, &"-", &spec)?;
    let _nmi = nmi_if_needed(&spec)?;
    log_armed(&point.name, &"-", &spec);
    harmless::warn(&spec, TASK);
    shot.fire();
    Ok(())
}

/// Arms a point of the table at the first of its symbols that can be probed.
///
/// # Errors
///
/// `ENOENT`: this kernel has none of the symbols. Otherwise why the last of those it has cannot be probed.
pub(crate) fn point(point: &Point, spec: &Spec) -> Result<Armed> {
    check_sleep(spec)?;
    let mut error = ENOENT;
    for symbol in point.symbols {
        match probe(&point.name, Place::entry(symbol), spec, point.contexts) {
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
pub(crate) fn place(name: &str, place: Place<'_>, spec: &Spec) -> Result<Armed> {
    check_sleep(spec)?;
    probe(&name, place, spec, ANY).map_err(|e| complain::refused(name, place, e))
}

/// A probe handler may not sleep.
fn check_sleep(spec: &Spec) -> Result {
    if spec.kind.direct_only {
        pr_err!(
            "crash type {}: needs a task that may sleep; use it with point DIRECT\n",
            spec.kind.name
        );
        return Err(EINVAL);
    }
    Ok(())
}

fn probe(name: &dyn fmt::Display, place: Place<'_>, spec: &Spec, contexts: u8) -> Result<Armed> {
    let nmi = nmi_if_needed(spec)?;
    let shot = Shot::new(name, &place, spec)?;
    let (name_text, place_text) = (
        CString::try_from_fmt(fmt!("{name}"))?,
        CString::try_from_fmt(fmt!("{place}"))?,
    );
    let symbol = CString::try_from_fmt(fmt!("{}", place.symbol))?;
    let probe = KBox::pin_init(
        kprobe::Kprobe::register(symbol, place.offset_bytes, shot),
        GFP_KERNEL,
    )?;
    log_armed(name, &place, spec);
    harmless::warn(spec, contexts);
    Ok(Armed {
        probe,
        name: name_text,
        symbol: place_text,
        _nmi: nmi,
    })
}

fn nmi_if_needed(spec: &Spec) -> Result<Option<Pin<KBox<nmi::Registration>>>> {
    if spec.run_in != RunIn::Nmi {
        return Ok(None);
    }
    KBox::pin_init(nmi::Registration::new::<InNmi>(c"lkdtm"), GFP_KERNEL).map(Some)
}

/// A line for people and for tests: keep its form.
fn log_armed(name: &dyn fmt::Display, symbol: &dyn fmt::Display, spec: &Spec) {
    pr_info!(
        "crash point {name} armed: symbol={symbol} type={} count={}\n",
        spec.kind.name,
        spec.count
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

/// A C string as it is.
struct Text<'a>(&'a CStr);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_str().unwrap_or("?"))
    }
}

// The kernel's formatting macros use a trait of their own.
impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}
