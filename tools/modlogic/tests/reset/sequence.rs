// SPDX-License-Identifier: GPL-2.0-or-later
//! Time and order of a reset, on simulated hardware.

use crate::generate::*;
use crate::plan_properties::plan;
use crate::simulation::{Behaviour, Run, run};
use modlogic::reset::params::{Methods, Selection};
use modlogic::reset::sequence::Outcome;
use modlogic::reset::topology::{Address, Function, Link};

/// `count` root ports with an NVMe disk behind each: ports at even, disks at odd indices.
fn ports(count: u8) -> Vec<Function> {
    let pair = |i: u8| {
        let parent = usize::from(i) * 2;
        let disk = endpoint(Address::new(0, i + 1, 0, 0), Some(parent), NVME);
        [port(Address::new(0, 0, i, 0), None), disk]
    };
    (0..count).flat_map(pair).collect()
}

fn reset(functions: &[Function], behaviours: &[Behaviour], timeout_ms: u64) -> Run {
    let decisions = plan(functions, &Selection::default(), Methods::ALL);
    let run = run(functions, behaviours, &decisions, timeout_ms);
    assert_eq!(run.violations, Vec::<String>::new());
    run
}

#[test]
fn run_when_there_are_eight_ports_takes_as_long_as_for_one() {
    let prompt = [Behaviour::PROMPT; 16];
    let one = reset(&ports(1), &prompt[..2], 60_000).took_ms;
    let eight = reset(&ports(8), &prompt, 60_000).took_ms;
    assert_eq!(one, 102);
    assert_eq!(eight, one);
}

#[test]
fn run_when_one_device_is_dead_costs_only_its_own_deadline() {
    let mut behaviours = [Behaviour::PROMPT; 16];
    behaviours[5] = Behaviour::DEAD;
    let run = reset(&ports(8), &behaviours, 3000);
    assert!((3002..=3010).contains(&run.took_ms), "{}", run.took_ms);
    for (i, outcome) in run.outcomes.iter().enumerate().filter(|(i, _)| i % 2 == 1) {
        match i {
            5 => assert_eq!(*outcome, Outcome::Silent(3002)),
            _ => assert_eq!(*outcome, Outcome::Reset(102)),
        }
    }
}

#[test]
fn run_when_two_devices_are_dead_waits_for_both_at_once() {
    let mut behaviours = [Behaviour::PROMPT; 16];
    behaviours[5] = Behaviour::DEAD;
    behaviours[9] = Behaviour::DEAD;
    assert!(reset(&ports(8), &behaviours, 3000).took_ms <= 3010);
}

/// A root port whose device has an Ethernet function and a bridge to conventional PCI with a disk behind it.
fn nested() -> Vec<Function> {
    let mut functions = vec![
        port(Address::new(0, 0, 1, 0), None),
        port(Address::new(0, 1, 0, 0), Some(0)),
        endpoint(Address::new(0, 1, 0, 1), Some(0), ETHERNET),
        endpoint(Address::new(0, 2, 0, 0), Some(1), NVME),
    ];
    functions[1].bridge.as_mut().unwrap().link = Link::Conventional;
    functions
}

#[test]
fn run_when_a_bridge_is_reset_too_restores_it_before_what_is_behind() {
    let run = reset(&nested(), &[Behaviour::PROMPT; 4], 60_000);
    let expected = [
        Outcome::Kept,
        Outcome::Reset(102),
        Outcome::Reset(102),
        Outcome::Reset(102 + 1100),
    ];
    assert_eq!(run.outcomes, expected);
}

#[test]
fn run_when_a_bridge_is_lost_says_so_of_what_is_behind() {
    let mut behaviours = [Behaviour::PROMPT; 4];
    behaviours[1] = Behaviour::DEAD;
    let outcomes = reset(&nested(), &behaviours, 500).outcomes;
    assert_eq!(outcomes[1], Outcome::Silent(502));
    assert_eq!(outcomes[2], Outcome::Reset(102));
    assert_eq!(outcomes[3], Outcome::BridgeLost);
}

#[test]
fn run_when_one_function_is_busy_spares_its_port_and_no_other() {
    let mut behaviours = [Behaviour::PROMPT; 4];
    behaviours[1].busy = true;
    let outcomes = reset(&ports(2), &behaviours, 500).outcomes;
    assert_eq!(outcomes[1], Outcome::Busy);
    assert_eq!(outcomes[3], Outcome::Reset(102));
}

#[test]
fn run_when_device_was_dead_before_revives_but_does_not_configure_it() {
    let mut behaviours = [Behaviour::PROMPT; 2];
    behaviours[1].alive = false;
    let outcomes = reset(&ports(1), &behaviours, 500).outcomes;
    assert_eq!(outcomes[1], Outcome::Unconfigured(102));
}
