// SPDX-License-Identifier: GPL-2.0-or-later
//! What holds for the plan of every topology, checked against the rules written the slow and obvious way.

use crate::generate::topologies;
use modlogic::reset::params::{AddressList, Methods, Selection};
use modlogic::reset::plan::{self, Decision, Keep, NotHot, Note, Own};
use modlogic::reset::topology::Function;
use proptest::prelude::*;

pub fn plan(functions: &[Function], selection: &Selection, methods: Methods) -> Vec<Decision> {
    let mut notes = vec![Note::default(); functions.len()];
    let mut decisions = vec![Decision::Keep(Keep::NoMethod); functions.len()];
    plan::plan(functions, selection, methods, &mut notes, &mut decisions)
        .expect("the generated topology is ordered");
    decisions
}

fn ancestors(functions: &[Function], i: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(functions[i].parent, |p| functions[*p].parent)
}

fn subtree(functions: &[Function], port: usize) -> Vec<usize> {
    (0..functions.len())
        .filter(|i| ancestors(functions, *i).any(|a| a == port))
        .collect()
}

/// The function itself and what the administrator's word for it extends to it from: bridges above, physical function.
fn authorities(functions: &[Function], i: usize) -> Vec<usize> {
    let physical = functions[i].physical;
    let mut all = vec![i];
    all.extend(physical);
    all.extend(ancestors(functions, i));
    all
}

fn is_untouchable(functions: &[Function], selection: &Selection, i: usize) -> bool {
    let f = &functions[i];
    let any = |test: &dyn Fn(usize) -> bool| authorities(functions, i).into_iter().any(test);
    let special = f.class.is_display() || f.class.is_memory() || f.class.is_platform();
    f.bound
        || (f.bridge.is_none() && special)
        || any(&|a| selection.skips(functions[a].address))
        || !any(&|a| selection.names(functions[a].address))
}

fn methods() -> impl Strategy<Value = Methods> {
    any::<[bool; 4]>().prop_map(|[hot, flr, pm, bus_master]| Methods {
        hot,
        flr,
        pm,
        bus_master,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn plan_when_topology_is_any_keeps_its_promises(
        (functions, skip, only) in topologies(),
        methods in prop_oneof![Just(Methods::ALL), methods()],
    ) {
        let selection = Selection {
            skip: AddressList::parse(skip.as_bytes()).unwrap(),
            only: AddressList::parse(only.as_bytes()).unwrap(),
        };
        let decisions = plan(&functions, &selection, methods);
        for i in 0..functions.len() {
            match decisions[i] {
                Decision::Hot { port } => check_hot(&functions, &selection, methods, &decisions, i, port)?,
                Decision::Own { method, not_hot } => {
                    check_own(&functions, &selection, methods, i, method)?;
                    check_not_hot(&functions, &selection, methods, i, not_hot)?;
                }
                Decision::Keep(keep) => check_keep(&functions, &selection, methods, i, keep)?,
            }
        }
    }
}

type Check = Result<(), TestCaseError>;

fn check_hot(
    functions: &[Function],
    selection: &Selection,
    methods: Methods,
    decisions: &[Decision],
    i: usize,
    port: usize,
) -> Check {
    let f = &functions[i];
    let bridge = functions[port]
        .bridge
        .expect("only bridges have a secondary bus");
    prop_assert!(methods.hot);
    prop_assert!(
        !is_untouchable(functions, selection, i),
        "untouchable {i} is reset"
    );
    prop_assert!(
        !f.no_bus_reset && !functions[port].no_bus_reset,
        "quirk of {i} or {port}"
    );
    prop_assert!(!bridge.reset_masked && !bridge.thunderbolt && !bridge.host_resets);
    prop_assert!(!functions[port].bound);
    prop_assert!(
        !matches!(decisions[port], Decision::Hot { .. } | Decision::Own { .. }),
        "port {port} is reset itself: resets overlap"
    );
    let below = subtree(functions, port);
    prop_assert!(below.contains(&i));
    for other in &below {
        prop_assert_eq!(
            decisions[*other],
            Decision::Hot { port },
            "{} is reset unplanned",
            other
        );
    }
    let direct =
        |j: &&usize| functions[**j].parent == Some(port) && functions[**j].bridge.is_none();
    prop_assert!(
        below.iter().any(|j| direct(&j)),
        "a lower port would have done"
    );
    Ok(())
}

fn check_own(
    functions: &[Function],
    selection: &Selection,
    methods: Methods,
    i: usize,
    method: Own,
) -> Check {
    let f = &functions[i];
    prop_assert!(!is_untouchable(functions, selection, i) && f.bridge.is_none());
    let beside_display = functions
        .iter()
        .any(|o| o.class.is_display() && o.same_device(f));
    let flr = methods.flr && f.flr && !beside_display;
    let pm = methods.pm && f.pm_reset && !beside_display;
    match method {
        Own::Flr => prop_assert!(flr),
        Own::Pm => prop_assert!(pm && !flr),
        Own::BusMasterOff => prop_assert!(methods.bus_master && f.bus_master && !flr && !pm),
    }
    Ok(())
}

/// The reason given must be true.
fn check_not_hot(
    functions: &[Function],
    selection: &Selection,
    methods: Methods,
    i: usize,
    not_hot: NotHot,
) -> Check {
    let parent = functions[i].parent;
    let around = parent.map_or(vec![], |p| {
        let mut all = subtree(functions, p);
        all.push(p);
        all
    });
    let bridge = |j: usize| functions[j].bridge.expect("a bridge");
    let fits = match not_hot {
        NotHot::NotAllowed => !methods.hot,
        NotHot::RootBus => parent.is_none(),
        NotHot::VirtualFunction => functions[i].physical.is_some(),
        NotHot::Reaches(j, keep) => {
            around.contains(&j)
                && is_untouchable(functions, selection, j)
                && (keep != Keep::Bound || functions[j].bound)
        }
        NotHot::Quirk(j) => around.contains(&j) && functions[j].no_bus_reset,
        NotHot::Masked(j) => parent == Some(j) && bridge(j).reset_masked,
        NotHot::Thunderbolt(j) => around.contains(&j) && bridge(j).thunderbolt,
        NotHot::HostOwned(j) => parent == Some(j) && bridge(j).host_resets,
    };
    prop_assert!(fits, "function {} has the wrong reason {:?}", i, not_hot);
    Ok(())
}

fn check_keep(
    functions: &[Function],
    selection: &Selection,
    methods: Methods,
    i: usize,
    keep: Keep,
) -> Check {
    let f = &functions[i];
    let untouchable = is_untouchable(functions, selection, i);
    let fits = match keep {
        Keep::Bridge => f.bridge.is_some() && !subtree(functions, i).is_empty(),
        Keep::EmptyBus => f.bridge.is_some() && subtree(functions, i).is_empty(),
        Keep::Display => f.class.is_display(),
        Keep::Memory => f.class.is_memory(),
        Keep::Platform => f.class.is_platform() && f.bridge.is_none(),
        Keep::Bound => f.bound,
        Keep::Skipped | Keep::NotNamed => untouchable,
        Keep::Virtual(j) => f.physical == Some(j) && !untouchable,
        Keep::AlreadyOff => !untouchable && !f.bus_master,
        Keep::NoMethod => !untouchable && f.bus_master && !methods.bus_master,
    };
    prop_assert!(
        fits,
        "function {} is kept for the wrong reason {:?}",
        i,
        keep
    );
    Ok(())
}
