// SPDX-License-Identifier: GPL-2.0-or-later
use modlogic::lkdtm::filter::{COMM_BYTES, Filter};

fn comm(text: &str) -> [u8; COMM_BYTES] {
    Filter::comm_from(text).unwrap()
}

#[test]
fn an_open_filter_lets_everything_count() {
    assert!(Filter::default().is_open());
    assert!(Filter::default().matches(7, 42, &comm("sh")));
}

#[test]
fn all_that_is_set_must_hold() {
    let f = Filter {
        cpu: Some(1),
        pid: Some(42),
        comm: Some(comm("dd")),
    };
    assert!(!f.is_open());
    assert!(f.matches(1, 42, &comm("dd")));
    assert!(!f.matches(0, 42, &comm("dd")));
    assert!(!f.matches(1, 43, &comm("dd")));
    assert!(!f.matches(1, 42, &comm("d")));
    assert!(!f.matches(1, 42, &comm("ddd")));
}

#[test]
fn what_lies_behind_the_end_of_a_name_does_not_matter() {
    let mut dirty = comm("dd");
    dirty[3..].fill(b'x');
    let f = Filter {
        comm: Some(comm("dd")),
        ..Filter::default()
    };
    assert!(f.matches(0, 0, &dirty));
}

#[test]
fn a_name_that_no_task_can_have_is_refused() {
    assert!(Filter::comm_from("").is_none());
    assert!(Filter::comm_from(&"x".repeat(16)).is_none());
    assert!(Filter::comm_from("a\0b").is_none());
    assert!(Filter::comm_from(&"x".repeat(15)).is_some());
}

#[test]
fn a_name_of_full_length_without_terminator_is_compared_to_its_end() {
    let f = Filter {
        comm: Some(comm("abcdefghijklmno")),
        ..Filter::default()
    };
    let mut other = comm("abcdefghijklmno");
    other[15] = b'p';
    assert!(!f.matches(0, 0, &other));
}
