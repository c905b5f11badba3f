// SPDX-License-Identifier: GPL-2.0

//! From text to something armed, with errors that tell a person what is wrong and what is right.

use crate::{
    arm::List,
    points::{BadPlace, POINTS},
    spec::{BadSpec, Spec},
    target::Target,
    types::TYPES,
    CPOINT_COUNT, RECUR_COUNT,
};
use kernel::prelude::*;

/// Parses `TYPE [KEY=VALUE…]`; what is not given comes from the module parameters.
pub(crate) fn spec(text: &str) -> Result<Spec> {
    let spec = Spec::parse(text, |kind| Spec {
        count: CPOINT_COUNT.get().unsigned_abs(),
        recur_count: RECUR_COUNT.get().unsigned_abs(),
        ..Spec::new(kind)
    });
    spec.map_err(bad_spec)
}

/// Says what is wrong with a text.
pub(crate) fn bad_spec(bad: BadSpec<'_>) -> Error {
    match bad {
        BadSpec::Type(name) => {
            pr_err!("unknown crash type \"{name}\"\n");
            list("crash types", TYPES.iter().map(|t| t.name));
        }
        BadSpec::Key(key) => pr_err!("unknown word \"{key}\"; valid are {}\n", Spec::KEYS),
        BadSpec::Value { key, value, valid } => pr_err!("{key}={value}: give {valid}\n"),
    }
    EINVAL
}

/// Says what is wrong with the text of a place.
pub(crate) fn bad_place(text: &str, bad: BadPlace) -> Error {
    match bad {
        BadPlace::Symbol => return unknown_point(text),
        BadPlace::Offset => {
            pr_err!("crash point {text}: give the offset as a number, decimal or 0x…\n");
        }
    }
    EINVAL
}

/// Says why a target cannot be armed; returns the error for the user.
pub(crate) fn refused(target: &Target, error: Error) -> Error {
    let name = target.name();
    match (target, target.module()) {
        (Target::Point(point), _) => {
            let tried = List(point.symbols);
            pr_err!(
                "crash point {name}: cannot be armed on this kernel ({error:?}); tried {tried}\n"
            );
        }
        (_, Some(module)) if error == ENOENT => {
            pr_err!("crash point {name}: module {module} has no such symbol\n");
        }
        (_, None) if error == ENOENT => return unknown_point(name),
        // The kernel crate of 7.2 does not name it.
        _ if error.to_errno() == -(kernel::bindings::EILSEQ as i32) => {
            pr_err!("crash point {name}: no instruction starts at this offset\n");
            return EINVAL;
        }
        _ => pr_err!("crash point {name}: the kernel cannot probe this place ({error:?})\n"),
    }
    error
}

/// Lists the points.
pub(crate) fn unknown_point(name: &str) -> Error {
    pr_err!("unknown crash point \"{name}\": neither a point nor a symbol of this kernel\n");
    list("crash points", POINTS.iter().map(|p| p.name));
    EINVAL
}

/// Logs names, a few per line: a record of the log is limited.
fn list(what: &str, names: impl Iterator<Item = &'static str>) {
    const PER_LINE: usize = 8;
    let (mut line, mut used) = ([""; PER_LINE], 0);
    for name in names {
        if used == PER_LINE {
            pr_err!("valid {what}: {}\n", List(&line));
            used = 0;
        }
        line[used] = name;
        used += 1;
    }
    pr_err!("valid {what}: {}\n", List(&line[..used]));
}
