// SPDX-License-Identifier: GPL-2.0-or-later
use modlogic::lkdtm::spec::{BadSpec, Spec};
use modlogic::lkdtm::types::{Lock, RunIn};
use proptest::prelude::*;

fn parse(text: &str) -> Result<Spec, BadSpec<'_>> {
    Spec::parse(text, Spec::new)
}

#[test]
fn a_type_alone_has_lkdtms_defaults() {
    let spec = parse("PANIC\n").unwrap();
    assert_eq!(
        (spec.kind.name, spec.count, spec.run_in),
        ("PANIC", 10, RunIn::Same)
    );
    assert!(spec.filter.is_open());
}

#[test]
fn defaults_come_from_the_caller() {
    let spec = Spec::parse("BUG", |kind| Spec {
        count: 3,
        ..Spec::new(kind)
    })
    .unwrap();
    assert_eq!(spec.count, 3);
}

#[test]
fn every_key_is_read() {
    let spec =
        parse("OVERFLOW count=7 recur=9 cpu=1 pid=0 comm=dd context=nmi lock=console").unwrap();
    assert_eq!((spec.count, spec.recur_count), (7, 9));
    assert_eq!((spec.filter.cpu, spec.filter.pid), (Some(1), Some(0)));
    assert_eq!(spec.filter.comm.unwrap()[..3], *b"dd\0");
    assert_eq!((spec.run_in, spec.lock), (RunIn::Nmi, Lock::Console));
}

#[test]
fn a_context_of_the_type_can_be_overridden() {
    assert_eq!(parse("PANIC_IN_NMI").unwrap().run_in, RunIn::Nmi);
    assert_eq!(
        parse("PANIC_IN_NMI context=same").unwrap().run_in,
        RunIn::Same
    );
}

#[test]
fn bad_words_are_named() {
    assert_eq!(parse("").unwrap_err(), BadSpec::Type(""));
    assert_eq!(
        parse("NOSUCH count=1").unwrap_err(),
        BadSpec::Type("NOSUCH")
    );
    assert_eq!(parse("PANIC fast").unwrap_err(), BadSpec::Key("fast"));
    assert_eq!(parse("PANIC speed=1").unwrap_err(), BadSpec::Key("speed"));
}

#[test]
fn values_that_do_not_fit_are_refused() {
    for word in [
        "count=0",
        "count=-1",
        "count=",
        "count=2147483648",
        "count=+1",
        "recur=0",
        "cpu=-1",
        "cpu=x",
        "pid=-1",
        "comm=",
        "comm=0123456789abcdef",
        "context=NMI",
        "lock=bkl",
    ] {
        let text = format!("PANIC {word}");
        let error = parse(&text).unwrap_err();
        assert!(matches!(error, BadSpec::Value { .. }), "{word}: {error:?}");
    }
}

#[test]
fn every_context_and_lock_that_an_error_lists_is_accepted() {
    for key in ["context", "lock"] {
        let text = format!("PANIC {key}=?");
        let Err(BadSpec::Value { valid, .. }) = parse(&text) else {
            panic!("{text} was accepted");
        };
        for word in valid
            .split([',', ' '])
            .filter(|w| !w.is_empty() && *w != "or")
        {
            assert!(
                parse(&format!("PANIC {key}={word}")).is_ok(),
                "{key}={word}"
            );
        }
    }
}

proptest! {
    #[test]
    fn parse_never_panics(text in "\\PC{0,60}|PANIC( (count|cpu|pid|comm|lock)=[0-9a-z-]{0,12}){0,4}") {
        let _ = parse(&text);
    }
}
