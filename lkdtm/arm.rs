// SPDX-License-Identifier: GPL-2.0

//! Arming: from a target to a registered probe, or to one that waits for the module with the symbol.

use crate::{
    complain, harmless,
    points::{Point, TASK},
    shot::Shot,
    spec::Spec,
    target::{Probe, Target},
};
use kdump::module;
use kernel::{fmt, prelude::*, str::CString};

/// An armed crash point; disarmed when dropped.
pub(crate) struct Armed {
    pub(crate) target: Target,
    spec: Spec,
    state: State,
}

enum State {
    /// At the place that this symbol names, perhaps in a module.
    Probed {
        probe: Probe,
        symbol: CString,
        module: Option<CString>,
    },
    /// Until a module is loaded; never, if the shot was fired in an earlier life of the module.
    Waiting { module: CString, fired: bool },
}

impl Armed {
    /// Arms a target, or lets it wait if the module that has its symbols is not loaded.
    ///
    /// # Errors
    ///
    /// Said in the log. `EINVAL`: the type needs a task. Otherwise as [`Target::probe`].
    pub(crate) fn new(target: Target, spec: &Spec) -> Result<Self> {
        check_sleep(spec)?;
        let state = match State::probe(&target, spec) {
            Err(error) if error == ENOENT => State::wait(&target, spec, error)?,
            other => other.map_err(|e| complain::refused(&target, e))?,
        };
        harmless::warn(spec, target.contexts());
        Ok(Self {
            target,
            spec: *spec,
            state,
        })
    }

    /// Arms what has waited for this module. Counting starts anew.
    pub(crate) fn coming(&mut self, name: &str) {
        match &self.state {
            State::Waiting {
                module,
                fired: false,
            } if text(module) == name => {}
            _ => return,
        }
        match State::probe(&self.target, &self.spec) {
            Ok(state) => self.state = state,
            // It goes on waiting: another version of the module may have the symbol.
            Err(error) => drop(complain::refused(&self.target, error)),
        }
    }

    /// Disarms what is in this module, and lets it wait.
    pub(crate) fn going(&mut self, name: &str) {
        let State::Probed { probe, module, .. } = &mut self.state else {
            return;
        };
        if let Some(module) = module.take_if(|m| text(m) == name) {
            let fired = probe.handler().countdown.fired();
            let point = self.target.name();
            pr_info!("crash point {point} disarmed: module {name} goes\n");
            self.state = State::Waiting { module, fired };
        }
    }
}

impl State {
    /// Probes the target and says so.
    fn probe(target: &Target, spec: &Spec) -> Result<Self> {
        let (probe, symbol) = target.probe(spec)?;
        let module = probe.module()?;
        log_armed(target.name(), &symbol, spec);
        Ok(Self::Probed {
            probe,
            symbol,
            module,
        })
    }

    /// Waits for the target's module, if it is known and not loaded. Otherwise says why there is `error`.
    fn wait(target: &Target, spec: &Spec, error: Error) -> Result<Self> {
        let Some(module) = target.module().filter(|m| !module::is_loaded(m)) else {
            return Err(complain::refused(target, error));
        };
        let (name, kind, count) = (target.name(), spec.kind.name, spec.count);
        pr_info!("crash point {name} waits for module {module}: type={kind} count={count}\n");
        Ok(Self::Waiting {
            module: CString::try_from_fmt(fmt!("{module}"))?,
            fired: false,
        })
    }
}

impl fmt::Display for Armed {
    /// The state, as debugfs shows it: `KEY=VALUE`, separated by blanks. Documented in ABI/testing/debugfs-lkdtm.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let yes_no = |yes| if yes { "yes" } else { "no" };
        f.write_fmt(fmt!("point={} ", self.target.name()))?;
        let (kind, count) = (self.spec.kind.name, self.spec.count);
        match &self.state {
            State::Probed { probe, symbol, .. } => {
                let countdown = &probe.handler().countdown;
                f.write_fmt(fmt!(
                    "symbol={} type={} count={} hits={} left={} missed={} fired={}",
                    text(symbol),
                    kind,
                    count,
                    countdown.hits(),
                    countdown.left(),
                    probe.missed(),
                    yes_no(countdown.fired())
                ))
            }
            State::Waiting { module, fired } => f.write_fmt(fmt!(
                "symbol=- type={} count={} hits=0 left={} missed=0 fired={} waits={}",
                kind,
                count,
                count,
                yes_no(*fired),
                text(module)
            )),
        }
    }
}

/// Crashes here and now; returns if the fault does.
pub(crate) fn direct(point: &Point, spec: &Spec) -> Result {
    let spec = Spec { count: 1, ..*spec };
    let shot = Shot::new(point.name, &"-", &spec)?;
    log_armed(point.name, c"-", &spec);
    harmless::warn(&spec, TASK);
    shot.fire();
    Ok(())
}

/// A probe handler may not sleep.
fn check_sleep(spec: &Spec) -> Result {
    if spec.kind.direct_only {
        pr_err!(
            "crash type {}: needs a task that may sleep; use it with point DIRECT\n",
            spec.kind.name
        );
        return Err(EINVAL);
    }
    Ok(())
}

/// A line for people and for tests: keep its form.
fn log_armed(name: &str, symbol: &CStr, spec: &Spec) {
    pr_info!(
        "crash point {name} armed: symbol={} type={} count={}\n",
        text(symbol),
        spec.kind.name,
        spec.count
    );
}

fn text(name: &CStr) -> &str {
    name.to_str().unwrap_or("?")
}

/// Names, separated by commas.
pub(crate) struct List<'a>(pub(crate) &'a [&'a str]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.0.iter().enumerate() {
            write!(f, "{}{name}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
