// SPDX-License-Identifier: GPL-2.0-or-later
use modlogic::lkdtm::points::{BadPlace, HARDIRQ, POINTS, Place, Point, TASK};
use proptest::prelude::*;
use std::collections::HashSet;

#[test]
fn names_and_aliases_are_unique() {
    let mut seen = HashSet::new();
    for point in POINTS {
        for name in std::iter::once(&point.name).chain(point.aliases) {
            assert!(seen.insert(*name), "{name} appears twice");
        }
    }
}

#[test]
fn every_upstream_point_is_there() {
    for name in [
        "DIRECT",
        "INT_HARDWARE_ENTRY",
        "INT_HW_IRQ_EN",
        "INT_TASKLET_ENTRY",
        "FS_SUBMIT_BH",
        "MEM_SWAPOUT",
        "TIMERADD",
        "SCSI_QUEUE_RQ",
    ] {
        assert_eq!(Point::find(name).map(|p| p.name), Some(name));
    }
}

#[test]
fn every_historic_name_leads_to_a_point() {
    for (old, new) in [
        ("do_IRQ", "INT_HARDWARE_ENTRY"),
        ("__do_IRQ", "INT_HARDWARE_ENTRY"),
        ("handle_IRQ_event", "INT_HW_IRQ_EN"),
        ("ll_rw_block", "FS_DEVRW"),
        ("submit_bh", "FS_SUBMIT_BH"),
        ("shrink_inactive_list", "MEM_SWAPOUT"),
        ("hrtimer_start", "TIMERADD"),
        ("SCSI_DISPATCH_CMD", "SCSI_QUEUE_RQ"),
        ("scsi_dispatch_cmd", "SCSI_QUEUE_RQ"),
        ("IDE_CORE_CP", "BLK_START_RQ"),
    ] {
        assert_eq!(Point::find(old).map(|p| p.name), Some(new), "{old}");
    }
}

#[test]
fn find_when_name_is_unknown_or_of_another_case_finds_nothing() {
    assert!(Point::find("NOSUCH").is_none());
    assert!(Point::find("direct").is_none());
    assert!(Point::find("").is_none());
}

#[test]
fn only_direct_has_no_symbols() {
    let direct: Vec<_> = POINTS.iter().filter(|p| p.is_direct()).collect();
    assert_eq!(direct.len(), 1);
    assert_eq!(direct[0].name, "DIRECT");
}

#[test]
fn the_talks_interrupt_points_are_hard_interrupts() {
    for name in ["INT_HARDWARE_ENTRY", "INT_HW_IRQ_EN"] {
        assert_eq!(Point::find(name).unwrap().contexts, HARDIRQ);
    }
    assert_eq!(Point::find("DIRECT").unwrap().contexts, TASK);
}

#[test]
fn only_a_point_whose_symbols_a_module_may_have_names_one() {
    let named: Vec<_> = POINTS.iter().filter_map(|p| p.module).collect();
    assert_eq!(named, ["scsi_mod"]);
}

#[test]
fn symbols_of_the_table_parse_as_places() {
    for symbol in POINTS.iter().flat_map(|p| p.symbols) {
        assert_eq!(Place::parse(symbol), Ok(Place::entry(symbol)));
    }
}

#[test]
fn place_when_module_and_offset_are_given_has_both() {
    let place = Place::parse("scsi_mod:scsi_queue_rq+0x1f").unwrap();
    assert_eq!(place.symbol.module, Some("scsi_mod"));
    assert_eq!(place.symbol.name, "scsi_queue_rq");
    assert_eq!(place.offset_bytes, 0x1f);
    assert_eq!(Place::parse("vfs_read+16").unwrap().offset_bytes, 16);
    assert_eq!(place.to_string(), "scsi_mod:scsi_queue_rq+0x1f");
}

#[test]
fn place_when_module_has_dashes_prints_the_kernels_name_of_it() {
    let place = Place::parse("virtio-rng:probe-entry").unwrap();
    assert_eq!(place.to_string(), "virtio_rng:probe-entry");
}

#[test]
fn place_when_offset_is_no_number_is_refused_for_that() {
    for text in ["f+", "f+0x", "f+x", "f+-1", "f++1", "f+4294967296", "f+1+1"] {
        assert_eq!(Place::parse(text), Err(BadPlace::Offset), "{text}");
    }
}

#[test]
fn place_when_symbol_is_impossible_is_refused_for_that() {
    for text in ["", "+1", "a b", ":f", "m:", "a:b:c", "f\n", "f/g", "ü"] {
        assert_eq!(Place::parse(text), Err(BadPlace::Symbol), "{text:?}");
    }
    assert_eq!(Place::parse(&"f".repeat(512)), Err(BadPlace::Symbol));
}

proptest! {
    #[test]
    fn place_never_panics_and_what_it_accepts_prints_and_parses_again(text in "\\PC{0,40}|[a-z_:+0-9x]{0,12}") {
        if let Ok(place) = Place::parse(&text) {
            let printed = place.to_string();
            let again = Place::parse(&printed).unwrap();
            prop_assert_eq!(again.to_string(), printed.clone());
            prop_assert_eq!(again.symbol.name, place.symbol.name);
            prop_assert_eq!(again.offset_bytes, place.offset_bytes);
        }
    }
}
