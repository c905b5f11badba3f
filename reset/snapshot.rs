// SPDX-License-Identifier: GPL-2.0

//! The machine's PCI functions as the plan wants them.

use crate::params::{AddressList, Methods, Selection};
use crate::plan::{self, Decision, Keep, Note, PlanError};
use crate::topology::{Address, Bridge, Class, Function, Link};
use kdump::pci::{PciDev, Port};
use kernel::prelude::*;

/// All functions, sorted by address; `functions[i]` describes `devices[i]`.
///
/// A bus has a higher number than the bus above it, so bridges stand before what is behind them.
pub(crate) struct Snapshot {
    pub(crate) devices: KVec<PciDev>,
    pub(crate) functions: KVec<Function>,
}

impl Snapshot {
    /// Looks at everything; changes nothing.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn take() -> Result<Self> {
        let mut devices = KVec::new();
        for device in PciDev::all() {
            let place = devices.partition_point(|d| address(d) < address(&device));
            devices.push(device, GFP_KERNEL)?;
            devices[place..].rotate_right(1);
        }
        let mut functions = KVec::with_capacity(devices.len(), GFP_KERNEL)?;
        for device in &devices {
            functions.push(describe(device, &devices), GFP_KERNEL)?;
        }
        settle_by_slowest(&devices, &mut functions);
        Ok(Self { devices, functions })
    }

    /// Decides for each function.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINVAL` when bridges and devices do not hang together as PCI wants it.
    pub(crate) fn plan(
        &self,
        selection: &Selection<'_>,
        methods: Methods,
    ) -> Result<KVec<Decision>> {
        let count = self.functions.len();
        let mut notes = KVec::from_elem(Note::default(), count, GFP_KERNEL)?;
        let mut decisions = KVec::from_elem(Decision::Keep(Keep::NoMethod), count, GFP_KERNEL)?;
        plan::plan(
            &self.functions,
            selection,
            methods,
            &mut notes,
            &mut decisions,
        )
        .map_err(|error| self.complain(error))?;
        Ok(decisions)
    }

    fn complain(&self, error: PlanError) -> Error {
        match error {
            PlanError::Order(i) | PlanError::NotABridge(i) => {
                let Address { domain, bus, devfn } = self.functions[i].address;
                let (device, function) = (devfn >> 3, devfn & 7);
                pr_err!(
                    "{domain:04x}:{bus:02x}:{device:02x}.{function} is not behind a bridge of a lower bus number; nothing done\n"
                );
            }
            PlanError::Workspace => pr_err!("the plan got a wrong work space; nothing done\n"),
        }
        EINVAL
    }

    /// Says which address in a parameter names nothing.
    pub(crate) fn warn_of_unmatched(&self, parameter: &'static str, list: &AddressList<'_>) {
        let known = self.functions.iter().map(|f| f.address);
        if let Some(Address { domain, bus, devfn }) = list.unmatched(known) {
            let (device, function) = (devfn >> 3, devfn & 7);
            pr_warn!(
                "{parameter}=: no device {domain:04x}:{bus:02x}:{device:02x}.{function} here\n"
            );
        }
    }
}

fn address(device: &PciDev) -> Address {
    let (domain, bus, devfn) = device.address();
    Address { domain, bus, devfn }
}

fn describe(device: &PciDev, all: &[PciDev]) -> Function {
    let index_of = |other| all.iter().position(|d| d.is(other));
    Function {
        address: address(device),
        parent: device.upstream_bridge().and_then(index_of),
        physical: device.physical().and_then(index_of),
        class: Class(device.class()),
        bridge: device.port().map(|port| describe_bridge(device, port)),
        // Whoever holds the lock is most likely a driver that binds or unbinds.
        bound: device.try_lock().is_none_or(|locked| locked.has_driver()),
        bus_master: device.is_bus_master(),
        flr: device.has_flr(),
        pm_reset: device.has_pm_reset(),
        no_bus_reset: device.has_no_bus_reset_quirk() || device.is_cardbus(),
        d3hot_delay_ms: device.d3hot_delay_ms(),
    }
}

fn describe_bridge(device: &PciDev, port: Port) -> Bridge {
    Bridge {
        link: match port {
            Port::Conventional => Link::Conventional,
            Port::Upstream => Link::Internal,
            Port::Downstream => Link::Express {
                fast: device.is_fast(),
                // Some ports say that they report and never do (QEMU's, while ACPI does their hotplug): a link
                // that is not active before the reset will not be reported after it either.
                reports_active: device.reports_link_active() && device.link_active(),
            },
        },
        reset_masked: device.ignores_bus_reset(),
        thunderbolt: device.is_thunderbolt(),
        host_resets: device.host_resets_it(),
        settle_ms: 0,
    }
}

/// A bus needs as long as the slowest function on it.
fn settle_by_slowest(devices: &[PciDev], functions: &mut [Function]) {
    for (i, device) in devices.iter().enumerate() {
        let parent = functions[i].parent;
        let bridge = parent.and_then(|p| functions[p].bridge.as_mut());
        if let Some(bridge) = bridge {
            bridge.settle_ms = bridge.settle_ms.max(device.settle_ms());
        }
    }
}
