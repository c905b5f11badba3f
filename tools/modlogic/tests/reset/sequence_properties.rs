// SPDX-License-Identifier: GPL-2.0-or-later
//! What holds for carrying out any plan on hardware that behaves in any way.

use crate::generate::topologies;
use crate::plan_properties::plan;
use crate::simulation::{Behaviour, run};
use modlogic::reset::params::{Methods, Selection};
use modlogic::reset::plan::{Decision, Own};
use modlogic::reset::sequence::Outcome;
use modlogic::reset::topology::Function;
use proptest::prelude::*;

fn behaviour() -> impl Strategy<Value = Behaviour> {
    let ready = prop_oneof![6 => 0u64..300, 2 => 300u64..20_000, 1 => Just(u64::MAX)];
    let link = prop_oneof![6 => 0u64..100, 2 => 100u64..2000, 1 => Just(u64::MAX)];
    (ready, any::<bool>(), link, 0u8..12, 0u8..12).prop_map(
        |(ready, retries, link, busy, alive)| Behaviour {
            ready_ms: Some(ready).filter(|r| *r != u64::MAX),
            retries,
            link_ms: Some(link).filter(|l| *l != u64::MAX),
            busy: busy == 0,
            alive: alive != 0,
        },
    )
}

/// Whether two functions are reset together.
fn together(a: Decision, b: Decision) -> bool {
    matches!((a, b), (Decision::Hot { port: p }, Decision::Hot { port: q }) if p == q)
}

fn depth(functions: &[Function], i: usize) -> u64 {
    std::iter::successors(functions[i].parent, |p| functions[*p].parent).count() as u64
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn run_when_hardware_does_anything_keeps_the_rules(
        (functions, _, _) in topologies(),
        behaviours in proptest::collection::vec(behaviour(), 24),
        timeout_ms in 1u64..10_000,
    ) {
        let behaviours = &behaviours[..functions.len()];
        let decisions = plan(&functions, &Selection::default(), Methods::ALL);
        let run = run(&functions, behaviours, &decisions, timeout_ms);
        prop_assert!(run.violations.is_empty(), "{:#?}", run.violations);
        // The deadlines of functions do not add up; only those of bridges below each other do.
        let deepest = (0..functions.len()).map(|i| depth(&functions, i)).max().unwrap_or(0);
        let settle = 1020 + 1100;
        prop_assert!(run.took_ms <= 20 + (timeout_ms.max(1000) + settle + 64) * (deepest + 1));
        for i in 0..functions.len() {
            let busy = (0..functions.len()).any(|j| {
                let port = match decisions[i] { Decision::Hot { port } => port == j, _ => false };
                behaviours[j].busy && (i == j || port || together(decisions[i], decisions[j]))
            });
            match (decisions[i], run.outcomes[i]) {
                (Decision::Keep(_), outcome) => prop_assert_eq!(outcome, Outcome::Kept),
                (_, outcome) if busy => prop_assert_eq!(outcome, Outcome::Busy, "function {}", i),
                (Decision::Own { method: Own::BusMasterOff, .. }, outcome) => {
                    let expected = if behaviours[i].alive { Outcome::Stopped } else { Outcome::Silent(0) };
                    prop_assert_eq!(outcome, expected);
                }
                (_, Outcome::Reset(_)) => {
                    prop_assert!(behaviours[i].alive && behaviours[i].ready_ms.is_some());
                }
                (_, Outcome::Unconfigured(_)) => prop_assert!(!behaviours[i].alive),
                (_, Outcome::Silent(_) | Outcome::LinkDown(_) | Outcome::BridgeLost) => {}
                (decision, outcome) => prop_assert!(false, "{:?} ended as {:?}", decision, outcome),
            }
        }
    }
}
