// SPDX-License-Identifier: GPL-2.0
//! The order in which a plan is carried out: lock, save and stop, shield, assert, release, wait, restore.
//!
//! All resets are asserted together and share one hold time; then every function is waited for by itself. Pure over
//! [`Machine`], so that tests can drive it with hardware that is slow, silent or dead.

use super::plan::{Decision, Own};
use super::topology::{Bridge, Function, Link};
use super::wait::{Answer, Look, Progress, Wait};

/// Trst is at least 1 ms; msleep(1) may be short of it by its own tick.
const HOLD_MS: u64 = 2;
/// After an FLR (PCIe 6.0 6.6.2).
const FLR_SETTLE_MS: u32 = 100;

/// What the sequence needs of the hardware. Functions are named by their index in the topology.
pub trait Machine {
    /// Keeps drivers and user space away from a function; Drop lets them in again.
    type Lock;
    /// Keeps hotplug, DPC and AER of a port from answering the reset; Drop takes the traces of the reset away.
    type Shield;
    /// A reset that is asserted; Drop ends it, so it cannot be forgotten.
    type Held;

    /// Milliseconds of a clock that does not jump.
    fn now_ms(&self) -> u64;
    /// Sleeps at least so long.
    fn sleep_ms(&self, ms: u64);
    /// None when somebody else holds the function.
    fn lock(&self, function: usize) -> Option<Self::Lock>;
    /// Saves the configuration space and stops the function by clearing Command. False when it does not answer.
    fn save_and_stop(&self, function: usize) -> bool;
    /// See [`Machine::Shield`].
    fn shield(&self, port: usize) -> Self::Shield;
    /// Begins to reset the secondary bus.
    fn hold_bus(&self, port: usize) -> Self::Held;
    /// Begins to reset one function; not called with [`Own::BusMasterOff`].
    fn hold_function(&self, function: usize, method: Own) -> Self::Held;
    /// Reads the identity of a function.
    fn answer(&self, function: usize) -> Answer;
    /// Reads whether the link below a port is active.
    fn link_active(&self, port: usize) -> bool;
    /// Writes back what [`Machine::save_and_stop`] saved; Bus Master stays off unless it is a bridge.
    fn restore(&self, function: usize);
    /// Clears Bus Master. False when the function does not answer.
    fn bus_master_off(&self, function: usize) -> bool;
}

/// How it ended for one function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not touched.
    Kept,
    /// Reset; ready so many milliseconds after the reset was asserted.
    Reset(u64),
    /// Stopped by clearing Bus Master.
    Stopped,
    /// Somebody else holds it or something that would be reset with it; nothing was done.
    Busy,
    /// Reset; the link did not come back within so many milliseconds.
    LinkDown(u64),
    /// Reset; no answer within so many milliseconds.
    Silent(u64),
    /// It answers, but did not before the reset: there was nothing to save, so it is not configured.
    Unconfigured(u64),
    /// Reset together with a bridge above it that did not come back.
    BridgeLost,
}

impl Outcome {
    /// Whether the function can do no more harm and a driver can have it.
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Kept | Self::Reset(_) | Self::Stopped)
    }
}

/// Work space for one function; the caller provides one per function, new.
///
/// Fields are dropped in order: whatever happens, a reset ends before the shield goes and that before the lock.
pub struct Step<M: Machine> {
    held: Option<M::Held>,
    shield: Option<M::Shield>,
    lock: Option<M::Lock>,
    /// Something that would be reset through this port is busy.
    spared: bool,
    saved: bool,
    phase: Phase,
}

impl<M: Machine> Step<M> {
    /// How it ended.
    pub fn outcome(&self) -> Outcome {
        match self.phase {
            Phase::Done(outcome) => outcome,
            Phase::Reset | Phase::Waiting { .. } => Outcome::Busy,
        }
    }
}

impl<M: Machine> Default for Step<M> {
    fn default() -> Self {
        Self {
            held: None,
            shield: None,
            lock: None,
            spared: false,
            saved: false,
            phase: Phase::Done(Outcome::Kept),
        }
    }
}

#[derive(Clone, Copy)]
enum Phase {
    /// To be reset or held in reset, or below a bridge that is not restored yet.
    Reset,
    /// The reset is over.
    Waiting {
        wait: Wait,
        next: u64,
    },
    Done(Outcome),
}

/// Carries out `decisions`, which [`plan`](super::plan::plan) made for `functions`; the outcome is in `steps`.
///
/// `ready_timeout_ms` is the deadline of each function by itself. Sleeps.
pub fn run<M: Machine>(
    machine: &M,
    functions: &[Function],
    decisions: &[Decision],
    ready_timeout_ms: u64,
    steps: &mut [Step<M>],
) {
    let mut sequence = Sequence {
        machine,
        functions,
        decisions,
        ready_timeout_ms,
        steps,
        asserted: 0,
    };
    sequence.lock();
    sequence.shield();
    sequence.stop();
    sequence.reset();
    while let Some(next) = sequence.look() {
        let now = machine.now_ms();
        machine.sleep_ms(next.saturating_sub(now).max(1));
    }
    sequence.finish();
}

struct Sequence<'a, M: Machine> {
    machine: &'a M,
    functions: &'a [Function],
    decisions: &'a [Decision],
    ready_timeout_ms: u64,
    steps: &'a mut [Step<M>],
    /// When the resets were asserted.
    asserted: u64,
}

impl<M: Machine> Sequence<'_, M> {
    fn count(&self) -> usize {
        self.steps
            .len()
            .min(self.functions.len())
            .min(self.decisions.len())
    }

    /// The port through which function `i` is reset.
    fn port_of(&self, i: usize) -> Option<usize> {
        match self.decisions[i] {
            Decision::Hot { port } => Some(port),
            Decision::Own { .. } | Decision::Keep(_) => None,
        }
    }

    fn is_pending(&self, i: usize) -> bool {
        !matches!(self.steps[i].phase, Phase::Done(_))
    }

    fn finish_with(&mut self, i: usize, outcome: Outcome) {
        self.steps[i].phase = Phase::Done(outcome);
    }

    /// Locks from the top down. One function that is busy spares everything that would be reset with it.
    fn lock(&mut self) {
        for i in 0..self.count() {
            if let Decision::Keep(_) = self.decisions[i] {
                continue;
            }
            self.steps[i].lock = self.machine.lock(i);
            self.steps[i].phase = match self.steps[i].lock {
                Some(_) => Phase::Reset,
                None => Phase::Done(Outcome::Busy),
            };
            if let Some(port) = self.port_of(i) {
                if self.steps[port].lock.is_none() && !self.steps[port].spared {
                    self.steps[port].lock = self.machine.lock(port);
                }
                self.steps[port].spared |=
                    self.steps[port].lock.is_none() || self.steps[i].lock.is_none();
            }
        }
        for i in 0..self.count() {
            if self.port_of(i).is_some_and(|port| self.steps[port].spared) {
                self.finish_with(i, Outcome::Busy);
            }
        }
    }

    /// Shields the ports, and the bridges that are reset themselves: before saving, so that a restored bridge is
    /// still shielded.
    fn shield(&mut self) {
        for i in 0..self.count() {
            let Some(port) = self.port_of(i).filter(|_| self.is_pending(i)) else {
                continue;
            };
            if self.steps[port].shield.is_none() {
                self.steps[port].shield = Some(self.machine.shield(port));
            }
            if self.functions[i].bridge.is_some() {
                self.steps[i].shield = Some(self.machine.shield(i));
            }
        }
    }

    /// From here on nothing that will be reset reads or writes memory.
    fn stop(&mut self) {
        for i in (0..self.count()).filter(|i| !matches!(self.decisions[*i], Decision::Keep(_))) {
            if !self.is_pending(i) {
                continue;
            }
            match self.decisions[i] {
                Decision::Own {
                    method: Own::BusMasterOff,
                    ..
                } => {
                    let answers = self.machine.bus_master_off(i);
                    let outcome = if answers {
                        Outcome::Stopped
                    } else {
                        Outcome::Silent(0)
                    };
                    self.finish_with(i, outcome);
                }
                _ => self.steps[i].saved = self.machine.save_and_stop(i),
            }
        }
    }

    /// Asserts all resets, holds them together, ends them and begins to wait.
    fn reset(&mut self) {
        let mut hold_ms = 0;
        self.asserted = self.machine.now_ms();
        // Functions first: to begin an FLR may itself take a while, and no bus should be held for so long.
        for i in 0..self.count() {
            if let (true, Decision::Own { method, .. }) = (self.is_pending(i), self.decisions[i]) {
                self.steps[i].held = Some(self.machine.hold_function(i, method));
                if method == Own::Pm {
                    hold_ms = u64::from(self.functions[i].d3hot_delay_ms).max(hold_ms);
                }
            }
        }
        for i in 0..self.count() {
            let port = self.port_of(i).filter(|_| self.is_pending(i));
            if let Some(port) = port.filter(|port| self.steps[*port].held.is_none()) {
                self.steps[port].held = Some(self.machine.hold_bus(port));
                hold_ms = hold_ms.max(HOLD_MS);
            }
        }
        if hold_ms > 0 {
            self.machine.sleep_ms(hold_ms);
        }
        for step in self.steps.iter_mut() {
            step.held = None;
        }
        let released = self.machine.now_ms();
        for i in 0..self.count() {
            if self.is_pending(i) {
                self.begin_wait(i, released);
            }
        }
    }

    /// A function below a bridge that was reset with it cannot be reached before that bridge is restored.
    fn begin_wait(&mut self, i: usize, since: u64) {
        let (function, limit_ms) = (&self.functions[i], self.ready_timeout_ms);
        let wait = match self.decisions[i] {
            Decision::Hot { port } if function.parent == Some(port) => self.wait_below(port, since),
            Decision::Own {
                method: Own::Pm, ..
            } => Wait::own(function.d3hot_delay_ms, since, limit_ms),
            Decision::Own { .. } => Wait::own(FLR_SETTLE_MS, since, limit_ms),
            Decision::Hot { .. } | Decision::Keep(_) => return,
        };
        let next = wait.first_look();
        self.steps[i].phase = Phase::Waiting { wait, next };
    }

    fn wait_below(&self, bridge: usize, since: u64) -> Wait {
        let Bridge {
            link, settle_ms, ..
        } = self.functions[bridge].bridge.unwrap_or(Bridge::PORT);
        Wait::below(link, settle_ms, since, self.ready_timeout_ms)
    }

    /// Looks at everything that is due. The time of the next look, or None when nothing is waited for any more.
    fn look(&mut self) -> Option<u64> {
        let mut earliest = None;
        for i in 0..self.count() {
            if let Phase::Reset = self.steps[i].phase {
                self.follow_bridge(i);
            }
            if let Phase::Waiting { wait, next } = self.steps[i].phase {
                self.look_at(i, wait, next);
            }
            if let Phase::Waiting { next, .. } = self.steps[i].phase {
                earliest = Some(earliest.map_or(next, |e: u64| e.min(next)));
            }
        }
        earliest
    }

    fn follow_bridge(&mut self, i: usize) {
        let Some(bridge) = self.functions[i].parent else {
            return;
        };
        match self.steps[bridge].phase {
            Phase::Done(Outcome::Reset(_)) => {
                let wait = self.wait_below(bridge, self.machine.now_ms());
                let next = wait.first_look();
                self.steps[i].phase = Phase::Waiting { wait, next };
            }
            Phase::Done(_) => self.finish_with(i, Outcome::BridgeLost),
            Phase::Reset | Phase::Waiting { .. } => {}
        }
    }

    fn look_at(&mut self, i: usize, mut wait: Wait, next: u64) {
        let now = self.machine.now_ms();
        if now < next {
            return;
        }
        let answer = if wait.may_read(now) {
            self.machine.answer(i)
        } else {
            Answer::Silent
        };
        let link_active = self.link_active(i);
        let waited = now.saturating_sub(self.asserted);
        let progress = wait.step(
            now,
            Look {
                answer,
                link_active,
            },
        );
        match progress {
            Progress::At(next) => self.steps[i].phase = Phase::Waiting { wait, next },
            Progress::Ready if self.steps[i].saved => {
                self.machine.restore(i);
                self.finish_with(i, Outcome::Reset(waited));
            }
            Progress::Ready => self.finish_with(i, Outcome::Unconfigured(waited)),
            Progress::LinkDown => self.finish_with(i, Outcome::LinkDown(waited)),
            Progress::Silent => self.finish_with(i, Outcome::Silent(waited)),
        }
    }

    fn link_active(&self, i: usize) -> Option<bool> {
        self.port_of(i)?;
        let bridge = self.functions[i].parent?;
        match self.functions[bridge].bridge?.link {
            Link::Express {
                reports_active: true,
                ..
            } => Some(self.machine.link_active(bridge)),
            Link::Express { .. } | Link::Conventional | Link::Internal => None,
        }
    }

    /// Takes the shields away before the first lock: nobody may see a port with its shield up.
    fn finish(&mut self) {
        for step in self.steps.iter_mut() {
            step.shield = None;
        }
        for step in self.steps.iter_mut() {
            step.lock = None;
        }
    }
}
