// SPDX-License-Identifier: GPL-2.0-or-later
use modlogic::lkdtm::types::{Fault, Needs, RunIn, TYPES, Type};
use std::collections::HashSet;

#[test]
fn names_and_aliases_are_unique() {
    let mut seen = HashSet::new();
    for t in TYPES {
        for name in std::iter::once(&t.name).chain(t.aliases) {
            assert!(seen.insert(*name), "{name} appears twice");
        }
    }
}

#[test]
fn overflow_is_found_by_both_its_names() {
    let by_talk = Type::find("OVERFLOW").unwrap();
    let by_upstream = Type::find("EXHAUST_STACK").unwrap();
    assert!(std::ptr::eq(by_talk, by_upstream));
    assert_eq!(by_talk.fault, Fault::Overflow);
}

#[test]
fn every_type_that_must_reach_kdump_says_what_the_log_will_hold() {
    for t in TYPES {
        let may_be_silent = matches!(t.needs, Needs::Never | Needs::Debugging);
        assert!(may_be_silent || !t.expect.is_empty(), "{}", t.name);
    }
}

#[test]
fn names_with_a_context_move_there() {
    for (name, run_in) in [
        ("PANIC", RunIn::Same),
        ("PANIC_IN_HARDIRQ", RunIn::Hardirq),
        ("BUG_IN_HARDIRQ", RunIn::Hardirq),
        ("PANIC_IN_SOFTIRQ", RunIn::Softirq),
        ("PANIC_IN_NMI", RunIn::Nmi),
        ("PANIC_STOP_IRQOFF", RunIn::StopIrqsOff),
    ] {
        assert_eq!(Type::find(name).unwrap().run_in, run_in, "{name}");
    }
}

#[test]
fn names_are_words_of_the_selftests_kind() {
    for t in TYPES {
        let ok = |b: u8| b.is_ascii_uppercase() || b == b'_';
        assert!(t.name.bytes().all(ok), "{}", t.name);
    }
}

#[test]
fn every_setting_that_is_named_is_a_sysctl_of_the_kernel() {
    for path in TYPES.iter().flat_map(|t| t.needs.sysctls()) {
        assert!(path.starts_with("kernel/") && !path.contains('.'), "{path}");
    }
}
