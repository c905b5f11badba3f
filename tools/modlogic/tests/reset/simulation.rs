// SPDX-License-Identifier: GPL-2.0-or-later
//! Simulated hardware: functions that come back late or never, links that train, and an eye on every rule that the
//! sequence must keep.

use modlogic::reset::plan::{Decision, Own};
use modlogic::reset::sequence::{self, Machine, Outcome, Step};
use modlogic::reset::topology::{Function, Link};
use modlogic::reset::wait::Answer;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// How one function behaves after a reset.
#[derive(Clone, Copy, Debug)]
pub struct Behaviour {
    /// It answers so long after its reset ended; None: never.
    pub ready_ms: Option<u64>,
    /// While it is not ready it asks for a retry, else it is silent.
    pub retries: bool,
    /// For a port: the link below comes back so long after the reset; None: never.
    pub link_ms: Option<u64>,
    /// Somebody else holds it.
    pub busy: bool,
    /// It answers before the reset.
    pub alive: bool,
}

impl Behaviour {
    pub const PROMPT: Self = Self {
        ready_ms: Some(0),
        retries: false,
        link_ms: Some(0),
        busy: false,
        alive: true,
    };
    pub const DEAD: Self = Self {
        ready_ms: None,
        ..Self::PROMPT
    };
}

#[derive(Default)]
struct State {
    now: u64,
    locked: BTreeSet<usize>,
    shielded: BTreeSet<usize>,
    held: BTreeSet<usize>,
    stopped: BTreeSet<usize>,
    restored: BTreeSet<usize>,
    /// When the reset of a function ended, from its own point of view.
    released: Vec<Option<u64>>,
    /// Settling time of functions that are reset by a method of their own.
    own_settle_ms: Vec<Option<u64>>,
    violations: Vec<String>,
}

/// The machine that [`sequence::run`] drives.
pub struct Simulation {
    pub functions: Vec<Function>,
    pub behaviours: Vec<Behaviour>,
    state: RefCell<State>,
}

/// What a run left behind.
pub struct Run {
    pub outcomes: Vec<Outcome>,
    pub took_ms: u64,
    pub violations: Vec<String>,
}

pub fn run(
    functions: &[Function],
    behaviours: &[Behaviour],
    decisions: &[Decision],
    timeout_ms: u64,
) -> Run {
    let simulation = Simulation {
        functions: functions.to_vec(),
        behaviours: behaviours.to_vec(),
        state: RefCell::default(),
    };
    simulation.state.borrow_mut().released = vec![None; functions.len()];
    simulation.state.borrow_mut().own_settle_ms = vec![None; functions.len()];
    let mut steps: Vec<Step<&Simulation>> = functions.iter().map(|_| Step::default()).collect();
    sequence::run(&&simulation, functions, decisions, timeout_ms, &mut steps);
    let outcomes = steps.iter().map(Step::outcome).collect();
    simulation.check_end();
    drop(steps);
    let state = simulation.state.into_inner();
    Run {
        outcomes,
        took_ms: state.now,
        violations: state.violations,
    }
}

impl Simulation {
    fn demand(&self, holds: bool, rule: &str, i: usize) {
        if !holds {
            let mut state = self.state.borrow_mut();
            let now = state.now;
            state
                .violations
                .push(format!("{now} ms, function {i}: {rule}"));
        }
    }

    fn check_end(&self) {
        let state = self.state.borrow();
        let left = [&state.held, &state.shielded, &state.locked].map(|set| set.first().copied());
        drop(state);
        for (left, rule) in
            left.into_iter()
                .zip(["still in reset", "still shielded", "still locked"])
        {
            if let Some(i) = left {
                self.demand(false, rule, i);
            }
        }
    }

    /// Every bridge between the function and the port that was reset is configured again.
    fn is_reachable(&self, i: usize) -> bool {
        let state = self.state.borrow();
        let mut above = self.functions[i].parent;
        while let Some(bridge) = above {
            let was_reset = state.released[bridge].is_some();
            if was_reset && !state.restored.contains(&bridge) {
                return false;
            }
            above = self.functions[bridge].parent;
        }
        true
    }

    /// The time from which on the rules allow a first access.
    fn settled_at(&self, i: usize) -> u64 {
        let released = self.state.borrow().released[i].unwrap_or(0);
        if let Some(settle) = self.state.borrow().own_settle_ms[i] {
            return released + settle;
        }
        let Some(bridge) = self.functions[i]
            .parent
            .and_then(|p| self.functions[p].bridge)
        else {
            return released;
        };
        let settle = u64::from(bridge.settle_ms);
        match bridge.link {
            Link::Internal => released,
            Link::Conventional => released + 1000 + settle,
            Link::Express { fast: false, .. } => released + settle,
            Link::Express {
                fast: true,
                reports_active: true,
            } => {
                let link = self.functions[i]
                    .parent
                    .and_then(|p| self.behaviours[p].link_ms);
                released + link.unwrap_or(u64::MAX / 2) + settle
            }
            Link::Express {
                fast: true,
                reports_active: false,
            } => released + 1000 + settle,
        }
    }
}

pub struct Guard<'a> {
    simulation: &'a Simulation,
    kind: Kind,
    function: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Lock,
    Shield,
    Bus,
    Function,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let i = self.function;
        let functions = &self.simulation.functions;
        let mut state = self.simulation.state.borrow_mut();
        let now = state.now;
        match self.kind {
            Kind::Lock => {
                state.locked.remove(&i);
            }
            Kind::Shield => {
                let held = state.held.contains(&i);
                let locked = state.locked.contains(&i);
                state.shielded.remove(&i);
                drop(state);
                self.simulation
                    .demand(!held, "unshielded while in reset", i);
                self.simulation
                    .demand(locked, "unshielded after unlocking", i);
            }
            Kind::Bus => {
                state.held.remove(&i);
                for j in i + 1..functions.len() {
                    let mut above =
                        std::iter::successors(functions[j].parent, |p| functions[*p].parent);
                    if above.any(|a| a == i) {
                        state.released[j] = Some(now);
                        state.restored.remove(&j);
                    }
                }
            }
            Kind::Function => {
                state.held.remove(&i);
                state.released[i] = Some(now);
            }
        }
    }
}

impl<'a> Simulation {
    fn guard(&'a self, kind: Kind, function: usize) -> Guard<'a> {
        let mut state = self.state.borrow_mut();
        let set = match kind {
            Kind::Lock => &mut state.locked,
            Kind::Shield => &mut state.shielded,
            Kind::Bus | Kind::Function => &mut state.held,
        };
        let fresh = set.insert(function);
        drop(state);
        self.demand(fresh, "taken twice", function);
        Guard {
            simulation: self,
            kind,
            function,
        }
    }
}

impl<'a> Machine for &'a Simulation {
    type Lock = Guard<'a>;
    type Shield = Guard<'a>;
    type Held = Guard<'a>;

    fn now_ms(&self) -> u64 {
        self.state.borrow().now
    }

    fn sleep_ms(&self, ms: u64) {
        let mut state = self.state.borrow_mut();
        if !state.held.is_empty() && ms < 1 {
            state.violations.push("held for less than Trst".into());
        }
        state.now += ms;
    }

    fn lock(&self, i: usize) -> Option<Guard<'a>> {
        (!self.behaviours[i].busy).then(|| self.guard(Kind::Lock, i))
    }

    fn save_and_stop(&self, i: usize) -> bool {
        self.demand(
            self.state.borrow().locked.contains(&i),
            "saved without lock",
            i,
        );
        self.demand(
            self.state.borrow().held.is_empty(),
            "saved after a reset began",
            i,
        );
        self.state.borrow_mut().stopped.insert(i);
        self.behaviours[i].alive
    }

    fn shield(&self, i: usize) -> Guard<'a> {
        self.demand(
            self.state.borrow().locked.contains(&i),
            "shielded without lock",
            i,
        );
        self.demand(
            !self.state.borrow().stopped.contains(&i),
            "shielded after saving",
            i,
        );
        self.guard(Kind::Shield, i)
    }

    fn hold_bus(&self, i: usize) -> Guard<'a> {
        self.demand(
            self.state.borrow().shielded.contains(&i),
            "reset without shield",
            i,
        );
        self.guard(Kind::Bus, i)
    }

    fn hold_function(&self, i: usize, method: Own) -> Guard<'a> {
        self.demand(
            self.state.borrow().stopped.contains(&i),
            "reset while running",
            i,
        );
        self.demand(method != Own::BusMasterOff, "bus master is no reset", i);
        let settle = if method == Own::Flr { 100 } else { 10 };
        self.state.borrow_mut().own_settle_ms[i] = Some(settle);
        self.guard(Kind::Function, i)
    }

    fn answer(&self, i: usize) -> Answer {
        self.demand(
            self.is_reachable(i),
            "read below a bridge that is not restored",
            i,
        );
        self.demand(
            self.now_ms() >= self.settled_at(i),
            "read before it may be",
            i,
        );
        let released = self.state.borrow().released[i];
        let Some(released) = released else {
            self.demand(false, "read while in reset", i);
            return Answer::Silent;
        };
        let Behaviour {
            ready_ms, retries, ..
        } = self.behaviours[i];
        match ready_ms {
            Some(ready) if self.now_ms() >= released + ready => Answer::Ready,
            _ if retries => Answer::Retry,
            _ => Answer::Silent,
        }
    }

    fn link_active(&self, port: usize) -> bool {
        let state = self.state.borrow();
        let child = self.functions.iter().position(|f| f.parent == Some(port));
        let released = child.and_then(|c| state.released[c]).unwrap_or(0);
        self.behaviours[port]
            .link_ms
            .is_some_and(|ms| state.now >= released + ms)
    }

    fn restore(&self, i: usize) {
        let shielded = self.state.borrow().shielded.contains(&i);
        let is_bridge = self.functions[i].bridge.is_some();
        self.demand(
            shielded || !is_bridge,
            "a restored bridge without shield reports the reset",
            i,
        );
        self.demand(
            self.is_reachable(i),
            "restored below a bridge that is not restored",
            i,
        );
        self.demand(
            self.state.borrow().stopped.contains(&i),
            "restored unsaved",
            i,
        );
        self.state.borrow_mut().restored.insert(i);
    }

    fn bus_master_off(&self, i: usize) -> bool {
        self.demand(
            self.state.borrow().locked.contains(&i),
            "stopped without lock",
            i,
        );
        self.behaviours[i].alive
    }
}
