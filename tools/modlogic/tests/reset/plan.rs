// SPDX-License-Identifier: GPL-2.0-or-later
//! The plan for topologies as machines have them.

use crate::generate::*;
use crate::plan_properties::plan;
use modlogic::reset::params::{AddressList, Methods, Selection};
use modlogic::reset::plan::{self as module, Decision, Keep, NotHot, Note, Own, PlanError};
use modlogic::reset::topology::{Address, Class, Function};

fn at(bus: u8, device: u8, function: u8) -> Address {
    Address::new(0, bus, device, function)
}

fn root_port(device: u8) -> Function {
    port(at(0, device, 0), None)
}

fn default_plan(functions: &[Function]) -> Vec<Decision> {
    plan(functions, &Selection::default(), Methods::ALL)
}

const fn own(method: Own, not_hot: NotHot) -> Decision {
    Decision::Own { method, not_hot }
}

const fn hot(port: usize) -> Decision {
    Decision::Hot { port }
}

const fn keep(keep: Keep) -> Decision {
    Decision::Keep(keep)
}

#[test]
fn plan_when_device_is_behind_a_root_port_resets_it_through_the_port() {
    let functions = [root_port(1), endpoint(at(1, 0, 0), Some(0), NVME)];
    assert_eq!(default_plan(&functions), [keep(Keep::Bridge), hot(0)]);
}

#[test]
fn plan_when_devices_are_behind_a_switch_keeps_the_switch() {
    let functions = [
        root_port(1),
        port(at(1, 0, 0), Some(0)),
        port(at(2, 0, 0), Some(1)),
        port(at(2, 1, 0), Some(1)),
        port(at(2, 2, 0), Some(1)),
        endpoint(at(3, 0, 0), Some(2), NVME),
        endpoint(at(4, 0, 0), Some(3), ETHERNET),
    ];
    let bridge = keep(Keep::Bridge);
    let expected = [
        bridge,
        bridge,
        bridge,
        bridge,
        keep(Keep::EmptyBus),
        hot(2),
        hot(3),
    ];
    assert_eq!(default_plan(&functions), expected);
}

#[test]
fn plan_when_multifunction_device_has_a_bridge_resets_all_that_is_below() {
    let functions = [
        root_port(1),
        port(at(1, 0, 0), Some(0)),
        endpoint(at(1, 0, 1), Some(0), ETHERNET),
        endpoint(at(2, 0, 0), Some(1), NVME),
    ];
    assert_eq!(
        default_plan(&functions),
        [keep(Keep::Bridge), hot(0), hot(0), hot(0)]
    );
}

#[test]
fn plan_when_display_is_in_the_subtree_takes_weaker_methods_for_the_rest() {
    let mut functions = [
        root_port(1),
        endpoint(at(1, 0, 0), Some(0), VGA),
        endpoint(at(1, 0, 1), Some(0), AUDIO),
        endpoint(at(1, 1, 0), Some(0), ETHERNET),
    ];
    functions[2].flr = true;
    functions[3].flr = true;
    let reaches = NotHot::Reaches(1, Keep::Display);
    let expected = [
        keep(Keep::Bridge),
        keep(Keep::Display),
        own(Own::BusMasterOff, reaches),
        own(Own::Flr, reaches),
    ];
    assert_eq!(default_plan(&functions), expected);
}

#[test]
fn plan_when_display_is_below_a_switch_still_resets_the_other_ports() {
    let functions = [
        root_port(1),
        port(at(1, 0, 0), Some(0)),
        port(at(2, 0, 0), Some(1)),
        port(at(2, 1, 0), Some(1)),
        endpoint(at(3, 0, 0), Some(2), VGA),
        endpoint(at(4, 0, 0), Some(3), NVME),
    ];
    let decisions = default_plan(&functions);
    assert_eq!(decisions[4..], [keep(Keep::Display), hot(3)]);
}

#[test]
fn plan_when_device_is_on_the_root_bus_takes_the_strongest_of_its_own() {
    let mut functions =
        [AHCI, NVME, ETHERNET, AHCI].map(|class| endpoint(at(0, 3, 0), None, class));
    for (i, function) in functions.iter_mut().enumerate() {
        function.address = at(0, i as u8, 0);
    }
    functions[0].flr = true;
    functions[0].pm_reset = true;
    functions[1].pm_reset = true;
    functions[3].bus_master = false;
    let expected = [
        own(Own::Flr, NotHot::RootBus),
        own(Own::Pm, NotHot::RootBus),
        own(Own::BusMasterOff, NotHot::RootBus),
        keep(Keep::AlreadyOff),
    ];
    assert_eq!(default_plan(&functions), expected);
}

#[test]
fn plan_when_one_function_is_bound_spares_the_whole_port() {
    let mut functions = [
        root_port(1),
        endpoint(at(1, 0, 0), Some(0), ETHERNET),
        endpoint(at(1, 0, 1), Some(0), ETHERNET),
    ];
    functions[1].bound = true;
    functions[2].flr = true;
    let expected = [
        keep(Keep::Bridge),
        keep(Keep::Bound),
        own(Own::Flr, NotHot::Reaches(1, Keep::Bound)),
    ];
    assert_eq!(default_plan(&functions), expected);
}

#[test]
fn plan_when_quirk_or_cxl_stands_against_hot_reset_says_which() {
    let mut functions = [
        root_port(1),
        endpoint(at(1, 0, 0), Some(0), NVME),
        root_port(2),
        endpoint(at(2, 0, 0), Some(2), NVME),
        root_port(3),
        endpoint(at(3, 0, 0), Some(4), CXL_MEMORY),
    ];
    functions[1].no_bus_reset = true;
    functions[2].bridge.as_mut().unwrap().reset_masked = true;
    let decisions = default_plan(&functions);
    assert_eq!(decisions[1], own(Own::BusMasterOff, NotHot::Quirk(1)));
    assert_eq!(decisions[3], own(Own::BusMasterOff, NotHot::Masked(2)));
    assert_eq!(
        decisions[5],
        keep(Keep::Memory),
        "CXL memory may hold the dump"
    );
}

#[test]
fn plan_when_virtual_functions_are_on_leaves_them_to_the_physical_function() {
    let virtual_function = |parent| {
        let mut vf = endpoint(at(1, 2, 0), parent, ETHERNET);
        vf.physical = Some(1);
        vf.flr = true;
        vf
    };
    let mut functions = [
        root_port(1),
        endpoint(at(1, 0, 0), Some(0), ETHERNET),
        virtual_function(Some(0)),
    ];
    functions[1].flr = true;
    assert_eq!(default_plan(&functions)[1..], [hot(0), hot(0)]);

    let no_hot = Methods {
        hot: false,
        ..Methods::ALL
    };
    let decisions = plan(&functions, &Selection::default(), no_hot);
    assert_eq!(decisions[1], own(Own::Flr, NotHot::NotAllowed));
    assert_eq!(decisions[2], keep(Keep::Virtual(1)));

    functions[1].bound = true;
    let decisions = default_plan(&functions);
    assert_eq!(decisions[2], own(Own::Flr, NotHot::Reaches(1, Keep::Bound)));
}

#[test]
fn plan_when_skip_names_a_port_keeps_everything_behind_it() {
    let functions = [
        root_port(1),
        endpoint(at(1, 0, 0), Some(0), NVME),
        root_port(2),
        endpoint(at(2, 0, 0), Some(2), NVME),
    ];
    let selection = Selection {
        skip: AddressList::parse(b"00:01.0").unwrap(),
        only: AddressList::default(),
    };
    let decisions = plan(&functions, &selection, Methods::ALL);
    assert_eq!(decisions[1], keep(Keep::Skipped));
    assert_eq!(decisions[3], hot(2));
}

#[test]
fn plan_when_only_names_one_function_never_resets_its_neighbour() {
    let mut functions = [
        root_port(1),
        endpoint(at(1, 0, 0), Some(0), NVME),
        endpoint(at(1, 0, 1), Some(0), NVME),
        root_port(2),
        endpoint(at(2, 0, 0), Some(3), NVME),
    ];
    functions[1].flr = true;
    let selection = Selection {
        skip: AddressList::default(),
        only: AddressList::parse(b"01:00.0,00:02.0").unwrap(),
    };
    let decisions = plan(&functions, &selection, Methods::ALL);
    assert_eq!(
        decisions[1],
        own(Own::Flr, NotHot::Reaches(2, Keep::NotNamed))
    );
    assert_eq!(decisions[2], keep(Keep::NotNamed));
    assert_eq!(
        decisions[4],
        hot(3),
        "a named port stands for what is behind it"
    );
}

#[test]
fn plan_when_topology_is_out_of_order_refuses_it() {
    let run = |functions: &[Function], room: usize| {
        let mut decisions = vec![keep(Keep::NoMethod); room];
        let (selection, mut notes) = (Selection::default(), vec![Note::default(); room]);
        module::plan(
            functions,
            &selection,
            Methods::ALL,
            &mut notes,
            &mut decisions,
        )
    };
    let loose = endpoint(at(1, 0, 0), Some(0), NVME);
    assert_eq!(run(&[loose], 1), Err(PlanError::Order(0)));
    let root = endpoint(at(0, 0, 0), None, Class(0x06_00_00));
    assert_eq!(run(&[root, loose], 2), Err(PlanError::NotABridge(1)));
    assert_eq!(run(&[root], 2), Err(PlanError::Workspace));
}
