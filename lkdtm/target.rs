// SPDX-License-Identifier: GPL-2.0

//! Where to crash: a point of the table or any place, and how a probe gets there.

use crate::{
    complain,
    points::{Contexts, Place, Point, ANY},
    shot::Shot,
    spec::Spec,
};
use kdump::kprobe::Kprobe;
use kernel::{fmt, prelude::*, str::CString};

/// A probe that counts and fires.
pub(crate) type Probe = Pin<KBox<Kprobe<Shot>>>;

/// Where to crash.
pub(crate) enum Target {
    /// At a point of the table.
    Point(&'static Point),
    /// At `[module:]symbol[+offset]`, a text that [`Place::parse`] takes.
    Place(CString),
}

impl Target {
    /// From what a user says.
    ///
    /// # Errors
    ///
    /// `EINVAL`: neither a point nor in the form of a place.
    pub(crate) fn find(text: &str) -> Result<Self> {
        match Point::find(text) {
            Some(point) => Ok(Self::Point(point)),
            None => Self::place(text),
        }
    }

    /// A place, even if a point has the same name.
    ///
    /// # Errors
    ///
    /// `EINVAL`: not in the form of a place.
    pub(crate) fn place(text: &str) -> Result<Self> {
        let place = Place::parse(text).map_err(|bad| complain::bad_place(text, bad))?;
        Ok(Self::Place(CString::try_from_fmt(fmt!("{place}"))?))
    }

    /// The point, unless it is a place.
    pub(crate) fn point(&self) -> Option<&'static Point> {
        match self {
            Self::Point(point) => Some(point),
            Self::Place(_) => None,
        }
    }

    /// Its name in messages.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Point(point) => point.name,
            Self::Place(text) => text.to_str().unwrap_or("?"),
        }
    }

    /// The module that has the symbols, if it is known.
    pub(crate) fn module(&self) -> Option<&str> {
        match self {
            Self::Point(point) => point.module,
            Self::Place(_) => Place::parse(self.name()).ok()?.symbol.module,
        }
    }

    /// The contexts in which it is hit.
    pub(crate) fn contexts(&self) -> Contexts {
        self.point().map_or(ANY, |point| point.contexts)
    }

    /// Probes it, at the first symbol that can be; also returns this symbol.
    ///
    /// # Errors
    ///
    /// `ENOENT`: this kernel has none of the symbols. Otherwise why the last of those it has cannot be probed, as
    /// [`Kprobe::register`].
    pub(crate) fn probe(&self, spec: &Spec) -> Result<(Probe, CString)> {
        match self {
            Self::Point(point) => {
                let mut error = ENOENT;
                for symbol in point.symbols {
                    match probe(point.name, Place::entry(symbol), spec) {
                        Err(e) if e == ENOENT => {}
                        Err(e) => error = e,
                        probed => return probed,
                    }
                }
                Err(error)
            }
            Self::Place(_) => {
                let place = Place::parse(self.name()).map_err(|_| EINVAL)?;
                probe(self.name(), place, spec)
            }
        }
    }
}

fn probe(name: &str, place: Place<'_>, spec: &Spec) -> Result<(Probe, CString)> {
    let symbol = CString::try_from_fmt(fmt!("{}", place.symbol))?;
    let shot = Shot::new(name, &place, spec)?;
    let probe = Kprobe::register(symbol, place.offset_bytes, shot);
    Ok((
        KBox::pin_init(probe, GFP_KERNEL)?,
        CString::try_from_fmt(fmt!("{place}"))?,
    ))
}

// The kernel's formatting macros use a trait of their own.
impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for crate::points::Symbol<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}
