// SPDX-License-Identifier: GPL-2.0

//! lkdtm.ko: crashes the running kernel at a chosen point in a chosen way, to test kdump.
//!
//! `points` says where, `types` how (both are tables that kdumpkit compiles as well), `countdown` when; `arm` puts the
//! three together at a probe; `faults` breaks the kernel.
//!
//! Try it in a virtual machine: `modprobe lkdtm cpoint_name=INT_HW_IRQ_EN cpoint_type=PANIC cpoint_count=5`.

#![deny(missing_docs)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![deny(unsafe_op_in_unsafe_fn)]
// The pure files serve kdumpkit as well, which uses more of them.
#![allow(dead_code, unreachable_pub)]

mod arm;
mod countdown;
mod faults;
mod points;
mod types;

use arm::{Armed, Order};
use kernel::prelude::*;
use points::{BadPlace, Place, Point, POINTS};
use types::{Type, TYPES};

module! {
    type: Lkdtm,
    name: "lkdtm",
    authors: ["the kdumpkit authors"],
    description: "Crashes the running kernel at a chosen point in a chosen way, to test kdump",
    license: "GPL",
}

kdump::module_params! {
    /// Where to crash.
    static CPOINT_NAME: charp = "cpoint_name", 0o444,
        "Crash point: DIRECT, INT_HARDWARE_ENTRY, INT_HW_IRQ_EN, … or any [module:]symbol[+offset]; an unknown one lists all";
    /// How to crash.
    static CPOINT_TYPE: charp = "cpoint_type", 0o444,
        "Crash type: PANIC, BUG, EXCEPTION, OVERFLOW, LOOP, …, or NONE to count hits only; an unknown one lists all";
    /// When to crash.
    static CPOINT_COUNT: int(1, i32::MAX, 10) = "cpoint_count", 0o644,
        "Crash on the N-th hit of the point, from 1 (default 10)";
    /// How deep to recurse.
    static RECUR_COUNT: int(1, i32::MAX, 64) = "recur_count", 0o644,
        "Recursions of type OVERFLOW, 1 KiB of stack each (default 64, enough for every stack)";
}

/// Dropping it disarms.
struct Lkdtm {
    _armed: Option<Armed>,
}

impl kernel::Module for Lkdtm {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let _armed = match (CPOINT_NAME.get(), CPOINT_TYPE.get()) {
            (None, None) => {
                pr_info!("no crash point given: nothing is armed\n");
                None
            }
            (Some(name), Some(kind)) => arm(name, kind)?,
            (Some(_), None) => {
                pr_err!("cpoint_name= without cpoint_type=: give both or neither\n");
                return Err(EINVAL);
            }
            (None, Some(_)) => {
                pr_err!("cpoint_type= without cpoint_name=: give both or neither\n");
                return Err(EINVAL);
            }
        };
        Ok(Self { _armed })
    }
}

/// Arms what the parameters say.
fn arm(name: &CStr, kind: &CStr) -> Result<Option<Armed>> {
    let order = Order {
        kind: kind
            .to_str()
            .ok()
            .and_then(Type::find)
            .ok_or_else(|| unknown_type(kind))?,
        count: CPOINT_COUNT.get().unsigned_abs(),
        recur_count: RECUR_COUNT.get().unsigned_abs(),
    };
    let text = name.to_str().map_err(|_| unknown_point(name))?;
    match Point::find(text) {
        Some(point) if point.is_direct() => arm::direct(point, order).map(|()| None),
        Some(point) => arm::point(point, order).map(Some),
        None => arm_place(name, text, order).map(Some),
    }
}

fn arm_place(name: &CStr, text: &str, order: Order) -> Result<Armed> {
    let place = Place::parse(text).map_err(|bad| match bad {
        BadPlace::Symbol => unknown_point(name),
        BadPlace::Offset => {
            pr_err!("crash point {name:?}: give the offset as a number, decimal or 0x…\n");
            EINVAL
        }
    })?;
    arm::place(text, place, order).map_err(|error| match error {
        e if e == ENOENT => match place.module {
            Some(module) => {
                pr_err!(
                    "crash point {text}: module {module} is not loaded or has no such symbol\n"
                );
                ENOENT
            }
            None => unknown_point(name),
        },
        e if e == Error::from_errno(-(kernel::bindings::EILSEQ as i32)) => {
            pr_err!("crash point {text}: no instruction starts at this offset\n");
            EINVAL
        }
        e => {
            pr_err!("crash point {text}: the kernel cannot probe this place ({e:?})\n");
            e
        }
    })
}

fn unknown_point(name: &CStr) -> Error {
    pr_err!("unknown crash point {name:?}: neither a point nor a symbol of this kernel\n");
    list("crash points", POINTS.iter().map(|p| p.name));
    EINVAL
}

fn unknown_type(name: &CStr) -> Error {
    pr_err!("unknown crash type {name:?}\n");
    list("crash types", TYPES.iter().map(|t| t.name));
    EINVAL
}

/// Logs names, a few per line: a record of the log is limited.
fn list(what: &str, names: impl Iterator<Item = &'static str>) {
    const PER_LINE: usize = 8;
    let (mut line, mut used) = ([""; PER_LINE], 0);
    for name in names {
        if used == PER_LINE {
            pr_err!("valid {what}: {}\n", arm::List(&line));
            used = 0;
        }
        line[used] = name;
        used += 1;
    }
    pr_err!("valid {what}: {}\n", arm::List(&line[..used]));
}
