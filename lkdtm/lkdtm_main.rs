// SPDX-License-Identifier: GPL-2.0

//! lkdtm.ko: crashes the running kernel at a chosen point in a chosen way, to test kdump.
//!
//! Pure, and compiled for kdumpkit as well: `points` says where, `types` how, `countdown` when, `filter` who, and `spec`
//! reads all of it from text. Here only: `shot` counts and fires at a probe, `target` puts the probe there, `arm` makes
//! or awaits that, `registry` has all that is armed, `faults` breaks the kernel, `provoke` is the debugfs interface,
//! `complain` explains errors, `harmless` warns when no dump would come out.
//!
//! Try it in a virtual machine: `modprobe lkdtm cpoint_name=INT_HW_IRQ_EN cpoint_type=PANIC cpoint_count=5`.

#![deny(missing_docs)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![deny(unsafe_op_in_unsafe_fn)]
// The pure files serve kdumpkit as well, which uses more of them.
#![allow(dead_code, unreachable_pub)]

mod arm;
mod complain;
mod countdown;
mod faults;
mod filter;
mod harmless;
mod points;
mod provoke;
mod registry;
mod shot;
mod spec;
mod target;
mod types;

use faults::elsewhere::Mover;
use kdump::module::Watch;
use kernel::{prelude::*, sync::Arc};
use provoke::Provoke;
use registry::{Modules, Registry};
use spec::Spec;
use target::Target;

module! {
    type: Lkdtm,
    name: "lkdtm",
    authors: ["the kdumpkit authors"],
    description: "Crashes the running kernel at a chosen point in a chosen way, to test kdump",
    license: "GPL",
}

kdump::module_params! {
    /// Where to crash.
    static CPOINT_NAME: charp = "cpoint_name", 0o444,
        "Crash point: DIRECT, INT_HARDWARE_ENTRY, INT_HW_IRQ_EN, … or [module:]symbol[+offset]; an unknown one lists all";
    /// How to crash.
    static CPOINT_TYPE: charp = "cpoint_type", 0o444,
        "Crash type: PANIC, BUG, EXCEPTION, OVERFLOW, LOOP, … or NONE to count hits only; an unknown one lists all";
    /// When to crash.
    static CPOINT_COUNT: int(1, i32::MAX, 10) = "cpoint_count", 0o644,
        "Crash on the N-th hit of the point, from 1 (default 10)";
    /// How deep to recurse.
    static RECUR_COUNT: int(1, i32::MAX, 64) = "recur_count", 0o644,
        "Recursions of type OVERFLOW, 1 KiB of stack each (default 64, enough for every stack)";
    /// On which CPU.
    static CPOINT_CPU: charp = "cpoint_cpu", 0o444,
        "Count only hits on this CPU";
    /// Which thread.
    static CPOINT_PID: charp = "cpoint_pid", 0o444,
        "Count only hits by the thread with this ID";
    /// Which task.
    static CPOINT_COMM: charp = "cpoint_comm", 0o444,
        "Count only hits by tasks of this name, 1 to 15 bytes";
    /// Which context.
    static CPOINT_CONTEXT: charp = "cpoint_context", 0o444,
        "Crash there instead of at the point: same, irqsoff, softirq, hardirq, nmi or stop_irqsoff (all other CPUs spin)";
    /// Which lock.
    static CPOINT_LOCK: charp = "cpoint_lock", 0o444,
        "Take this lock before: none, spinlock, mutex, rcu, console or rtnl";
}

/// Fields are dropped in this order: first whoever arms, then what is armed, then what armed faults need.
struct Lkdtm {
    _provoke: Provoke,
    _modules: Pin<KBox<Watch<Modules>>>,
    _registry: Arc<Registry>,
    _mover: Pin<KBox<Mover>>,
}

impl kernel::Module for Lkdtm {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // SAFETY: once, and nothing is armed yet.
        unsafe { faults::init_locks() };
        let mover = Mover::new()?;
        let registry = Arc::pin_init(Registry::new(), GFP_KERNEL)?;
        let modules = KBox::pin_init(Watch::new(Modules(registry.clone())), GFP_KERNEL)?;
        let provoke = Provoke::new(&registry)?;
        match (CPOINT_NAME.get(), CPOINT_TYPE.get()) {
            (None, None) => pr_info!("nothing is armed; write to debugfs provoke-crash/\n"),
            (Some(name), Some(kind)) => arm(&registry, name, kind)?,
            (Some(_), None) => {
                pr_err!("cpoint_name= without cpoint_type=: give both or neither\n");
                return Err(EINVAL);
            }
            (None, Some(_)) => {
                pr_err!("cpoint_type= without cpoint_name=: give both or neither\n");
                return Err(EINVAL);
            }
        }
        Ok(Self {
            _provoke: provoke,
            _modules: modules,
            _registry: registry,
            _mover: mover,
        })
    }
}

/// Arms what the parameters say.
fn arm(registry: &Registry, name: &CStr, kind: &CStr) -> Result {
    let spec = spec_of_parameters(kind)?;
    let text = name.to_str().map_err(|_| complain::unknown_point("?"))?;
    match Target::find(text)? {
        Target::Point(point) if point.is_direct() => {
            registry.prepare(&spec)?;
            arm::direct(point, &spec)
        }
        target => registry.arm(target, &spec),
    }
}

fn spec_of_parameters(kind: &CStr) -> Result<Spec> {
    let mut spec = complain::spec(kind.to_str()?)?;
    for (key, parameter) in [
        ("cpu", &CPOINT_CPU),
        ("pid", &CPOINT_PID),
        ("comm", &CPOINT_COMM),
        ("context", &CPOINT_CONTEXT),
        ("lock", &CPOINT_LOCK),
    ] {
        if let Some(value) = parameter.get() {
            spec.set(key, value.to_str()?).map_err(complain::bad_spec)?;
        }
    }
    Ok(spec)
}
