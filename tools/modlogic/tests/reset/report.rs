// SPDX-License-Identifier: GPL-2.0-or-later
//! The lines that dmesg and sysfs show.

use crate::generate::*;
use modlogic::reset::plan::{Decision, Keep, NotHot, Own};
use modlogic::reset::report::Line;
use modlogic::reset::sequence::Outcome;
use modlogic::reset::topology::Address;

fn line(decision: Decision, outcome: Option<Outcome>) -> String {
    let functions = [
        port(Address::new(0, 0, 2, 0), None),
        endpoint(Address::new(0, 1, 0, 0), Some(0), NVME),
    ];
    let line = Line {
        functions: &functions,
        index: 1,
        decision,
        outcome,
    };
    line.to_string()
}

#[test]
fn line_when_reset_names_method_state_time_and_reason() {
    let hot = Decision::Hot { port: 0 };
    let flr = Decision::Own {
        method: Own::Flr,
        not_hot: NotHot::Reaches(1, Keep::Bound),
    };
    let off = Decision::Own {
        method: Own::BusMasterOff,
        not_hot: NotHot::Quirk(0),
    };
    for (decision, outcome, expected) in [
        (
            hot,
            Some(Outcome::Reset(103)),
            "0000:01:00.0 hot reset 103 through 0000:00:02.0",
        ),
        (
            hot,
            Some(Outcome::Silent(1000)),
            "0000:01:00.0 hot silent 1000 through 0000:00:02.0",
        ),
        (hot, None, "0000:01:00.0 hot planned 0 through 0000:00:02.0"),
        (
            flr,
            Some(Outcome::Reset(101)),
            "0000:01:00.0 flr reset 101 a hot reset would reach 0000:01:00.0: a driver is bound",
        ),
        (
            off,
            Some(Outcome::Stopped),
            "0000:01:00.0 busmaster stopped 0 quirk of 0000:00:02.0 forbids hot reset",
        ),
        (
            Decision::Keep(Keep::Display),
            Some(Outcome::Kept),
            "0000:01:00.0 none kept 0 display, it may be the console",
        ),
    ] {
        assert_eq!(line(decision, outcome), expected);
    }
}
