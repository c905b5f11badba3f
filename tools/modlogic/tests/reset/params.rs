// SPDX-License-Identifier: GPL-2.0-or-later
//! `skip=`, `only=`, `methods=`: what they accept, and where they say the mistake is.

use modlogic::reset::params::{AddressList, Methods};
use modlogic::reset::topology::Address;
use proptest::prelude::*;

const NVME: Address = Address::new(0, 3, 0, 0);

fn position(text: &str) -> usize {
    AddressList::parse(text.as_bytes())
        .expect_err(text)
        .position
}

#[test]
fn parse_when_addresses_are_good_finds_them() {
    let list = AddressList::parse(b"0000:03:00.0,10000:e1:1f.7,04:02\n").unwrap();
    assert!(list.contains(NVME));
    assert!(list.contains(Address::new(0x10000, 0xe1, 0x1f, 7)));
    assert!(
        list.contains(Address::new(0, 4, 2, 5)),
        "04:02 means every function"
    );
    assert!(!list.contains(Address::new(1, 3, 0, 0)));
    assert!(!list.contains(Address::new(0, 3, 0, 1)));
}

#[test]
fn parse_when_list_is_empty_names_nothing() {
    let list = AddressList::parse(b" \n").unwrap();
    assert!(list.is_empty() && !list.contains(NVME));
}

#[test]
fn parse_when_text_is_garbage_names_the_position() {
    for (text, at) in [
        ("x", 0),
        (",", 0),
        ("0000:03:00.0,", 13),
        ("0000:03:00.0 ,03:00.0", 12),
        ("0000:03:00.0;03:00.0", 12),
        ("0000:03:00.8", 11),
        ("0000:03:00.", 11),
        ("0000:03:20.0", 8),
        ("0000:103:00.0", 5),
        ("100:00.0", 0),
        ("03:00.0,,04:00.0", 8),
        ("03:00.0,04:0g.0", 12),
        ("03", 2),
        ("123456789:00:00.0", 0),
        ("03:00.0\u{e9}", 7),
    ] {
        assert_eq!(position(text), at, "{text:?}");
    }
}

#[test]
fn parse_when_garbage_says_what_fits() {
    let error = AddressList::parse(b"0000:03:00.9").unwrap_err();
    assert_eq!(
        error.to_string(),
        "position 11: expected a function number from 0 to 7"
    );
    let error = Methods::parse(b"hot,warm").unwrap_err();
    assert_eq!(
        error.to_string(),
        "position 4: expected one of hot, flr, pm, busmaster, separated by commas"
    );
}

#[test]
fn unmatched_when_a_name_fits_nothing_returns_it() {
    let list = AddressList::parse(b"03:00.0,05:00").unwrap();
    assert_eq!(
        list.unmatched([NVME].into_iter()),
        Some(Address::new(0, 5, 0, 0))
    );
    assert_eq!(
        list.unmatched([NVME, Address::new(0, 5, 0, 3)].into_iter()),
        None
    );
}

#[test]
fn methods_when_listed_are_the_only_ones() {
    let methods = Methods::parse(b"flr,busmaster\n").unwrap();
    assert!(methods.flr && methods.bus_master && !methods.hot && !methods.pm);
    assert_eq!(
        Methods::parse(b"hot,flr,pm,busmaster").unwrap(),
        Methods::ALL
    );
    for (text, at) in [
        ("", 0),
        ("hot,", 4),
        ("hot,,flr", 4),
        ("Hot", 0),
        ("hot flr", 0),
    ] {
        assert_eq!(
            Methods::parse(text.as_bytes()).unwrap_err().position,
            at,
            "{text:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parse_when_bytes_are_any_never_panics_and_points_inside(text in "[0-9a-fA-F:.,x \n]{0,40}") {
        if let Err(error) = AddressList::parse(text.as_bytes()) {
            prop_assert!(error.position <= text.len());
        }
        if let Err(error) = Methods::parse(text.as_bytes()) {
            prop_assert!(error.position <= text.len());
        }
    }

    #[test]
    fn parse_when_address_was_printed_finds_it(domain in any::<u32>(), bus in any::<u8>(), devfn in any::<u8>()) {
        let address = Address { domain, bus, devfn };
        let text = address.to_string();
        let list = AddressList::parse(text.as_bytes()).unwrap();
        prop_assert!(list.contains(address));
        let neighbour = Address { devfn: devfn ^ 1, ..address };
        prop_assert!(!list.contains(neighbour));
    }
}
