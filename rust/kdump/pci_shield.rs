// SPDX-License-Identifier: GPL-2.0

//! A shield around a PCI Express port: while it is up, a reset behind the port is no surprise removal and no error.
//!
//! It masks what would report the reset (hotplug events, AER, Downstream Port Containment, link bandwidth
//! notifications) and, when it goes, clears what the reset left in the status registers before it unmasks.
//!
//! C header: [`include/uapi/linux/pci_regs.h`](srctree/include/uapi/linux/pci_regs.h)

use crate::pci::PciDev;
use kernel::bindings::*;

/// A port with its shield up; dropping it takes the shield down.
#[must_use = "dropping it takes the shield down at once"]
pub struct Shield<'a> {
    port: &'a PciDev,
    ignore_hotplug: Option<bool>,
    express: [Option<(ExpressRegister, u16, u16)>; EXPRESS.len()],
    aer: Option<Aer>,
    containment: Option<(u32, u16)>,
}

/// A control register of the PCI Express capability and the status register that belongs to it.
#[derive(Clone, Copy)]
struct ExpressRegister {
    control: u32,
    /// Control bits that report something.
    mask: u32,
    status: u32,
    /// Status bits that a write of 1 clears.
    clear: u32,
}

const ERRORS: ExpressRegister = ExpressRegister {
    control: PCI_EXP_DEVCTL,
    mask: PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE | PCI_EXP_DEVCTL_FERE | PCI_EXP_DEVCTL_URRE,
    status: PCI_EXP_DEVSTA,
    clear: PCI_EXP_DEVSTA_CED | PCI_EXP_DEVSTA_NFED | PCI_EXP_DEVSTA_FED | PCI_EXP_DEVSTA_URD,
};
const LINK: ExpressRegister = ExpressRegister {
    control: PCI_EXP_LNKCTL,
    mask: PCI_EXP_LNKCTL_LBMIE | PCI_EXP_LNKCTL_LABIE,
    status: PCI_EXP_LNKSTA,
    clear: PCI_EXP_LNKSTA_LBMS | PCI_EXP_LNKSTA_LABS,
};
const SLOT: ExpressRegister = ExpressRegister {
    control: PCI_EXP_SLTCTL,
    mask: PCI_EXP_SLTCTL_ABPE
        | PCI_EXP_SLTCTL_PFDE
        | PCI_EXP_SLTCTL_MRLSCE
        | PCI_EXP_SLTCTL_PDCE
        | PCI_EXP_SLTCTL_CCIE
        | PCI_EXP_SLTCTL_HPIE
        | PCI_EXP_SLTCTL_DLLSCE,
    status: PCI_EXP_SLTSTA,
    clear: PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC | PCI_EXP_SLTSTA_CC,
};
const EXPRESS: [ExpressRegister; 3] = [ERRORS, LINK, SLOT];

/// Saved registers of the Advanced Error Reporting capability.
struct Aer {
    at: u32,
    uncorrectable: (u32, u32),
    correctable: (u32, u32),
    root_command: Option<u32>,
}

impl<'a> Shield<'a> {
    /// Raises the shield. Registers that the firmware kept for itself (_OSC) are left alone.
    ///
    /// Lock the port first. Context: may sleep.
    pub fn raise(port: &'a PciDev) -> Self {
        // A sleeping port has no link.
        port.wake();
        let native_aer = port.host_bridge().native_aer() != 0;
        let native_dpc = port.host_bridge().native_dpc() != 0;
        let ignore_hotplug = port.has_slot().then(|| port.replace_ignore_hotplug(true));
        let express = EXPRESS.map(|register| {
            let applies = match register.control {
                PCI_EXP_DEVCTL => native_aer,
                PCI_EXP_SLTCTL => port.has_slot(),
                _ => true,
            };
            (applies && port.is_express()).then(|| register.mask(port))
        });
        Self {
            port,
            ignore_hotplug,
            express,
            aer: native_aer.then(|| Aer::mask(port)).flatten(),
            containment: native_dpc.then(|| stop_containment(port)).flatten(),
        }
    }
}

impl Drop for Shield<'_> {
    fn drop(&mut self) {
        if let Some((at, control)) = self.containment {
            let traces = PCI_EXP_DPC_STATUS_TRIGGER | PCI_EXP_DPC_STATUS_INTERRUPT;
            self.port.write_u16(at + PCI_EXP_DPC_STATUS, traces as u16);
            self.port.write_u16(at + PCI_EXP_DPC_CTL, control);
        }
        if let Some(aer) = &self.aer {
            aer.unmask(self.port);
        }
        for (register, _, status) in self.express.iter().flatten() {
            register.clear_new(self.port, *status);
        }
        // Before the slot reports again: what is left by now is no trace of the reset, but a button that was pressed
        // meanwhile, and pciehp would throw it away.
        if let Some(ignore) = self.ignore_hotplug {
            self.port.replace_ignore_hotplug(ignore);
        }
        for (register, control, _) in self.express.iter().flatten() {
            register.write_if_masked(self.port, *control, *control);
        }
    }
}

impl ExpressRegister {
    /// The register, and what control and status were.
    fn mask(self, port: &PciDev) -> (Self, u16, u16) {
        let status = port.read_express(self.status);
        let control = port.read_express(self.control);
        self.write_if_masked(port, control, control & !(self.mask as u16));
        (self, control, status)
    }

    /// Clears the status bits that are new.
    fn clear_new(self, port: &PciDev, status_before: u16) {
        let new = port.read_express(self.status) & !status_before & self.clear as u16;
        if new != 0 {
            port.write_express(self.status, new);
        }
    }

    /// A slot takes every write for a command, which leaves a trace itself: none is written when nothing is masked.
    fn write_if_masked(self, port: &PciDev, before: u16, value: u16) {
        if u32::from(before) & self.mask != 0 {
            port.write_express(self.control, value);
        }
    }
}

impl Aer {
    fn mask(port: &PciDev) -> Option<Self> {
        let at = port.find_ext_capability(PCI_EXT_CAP_ID_ERR)?;
        let register = |status, mask| (port.read_u32(at + status), port.read_u32(at + mask));
        let aer = Self {
            at,
            uncorrectable: register(PCI_ERR_UNCOR_STATUS, PCI_ERR_UNCOR_MASK),
            correctable: register(PCI_ERR_COR_STATUS, PCI_ERR_COR_MASK),
            root_command: port
                .is_root_port()
                .then(|| port.read_u32(at + PCI_ERR_ROOT_COMMAND)),
        };
        port.write_u32(at + PCI_ERR_UNCOR_MASK, u32::MAX);
        port.write_u32(at + PCI_ERR_COR_MASK, u32::MAX);
        if aer.root_command.is_some() {
            port.write_u32(at + PCI_ERR_ROOT_COMMAND, 0);
        }
        Some(aer)
    }

    fn unmask(&self, port: &PciDev) {
        let clear_new = |status, before: u32| {
            let new = port.read_u32(self.at + status) & !before;
            port.write_u32(self.at + status, new);
        };
        clear_new(PCI_ERR_UNCOR_STATUS, self.uncorrectable.0);
        clear_new(PCI_ERR_COR_STATUS, self.correctable.0);
        port.write_u32(self.at + PCI_ERR_UNCOR_MASK, self.uncorrectable.1);
        port.write_u32(self.at + PCI_ERR_COR_MASK, self.correctable.1);
        if let Some(command) = self.root_command {
            let traces = port.read_u32(self.at + PCI_ERR_ROOT_STATUS);
            port.write_u32(self.at + PCI_ERR_ROOT_STATUS, traces);
            port.write_u32(self.at + PCI_ERR_ROOT_COMMAND, command);
        }
    }
}

/// Switches Downstream Port Containment off; where its capability is, and what its control register was.
fn stop_containment(port: &PciDev) -> Option<(u32, u16)> {
    let at = port.find_ext_capability(PCI_EXT_CAP_ID_DPC)?;
    let control = port.read_u16(at + PCI_EXP_DPC_CTL);
    let enable = PCI_EXP_DPC_CTL_EN_FATAL | PCI_EXP_DPC_CTL_EN_NONFATAL | PCI_EXP_DPC_CTL_INT_EN;
    port.write_u16(at + PCI_EXP_DPC_CTL, control & !(enable as u16));
    Some((at, control))
}

impl PciDev {
    fn is_express(&self) -> bool {
        self.read_express(PCI_EXP_FLAGS) != 0
    }

    /// Sets whether hotplug drivers ignore events of this port; what it was.
    fn replace_ignore_hotplug(&self, ignore: bool) -> bool {
        // SAFETY: valid. The bit shares a word with others that change under the device lock, which the caller holds.
        unsafe {
            let before = (*self.as_raw()).ignore_hotplug() != 0;
            (*self.as_raw()).set_ignore_hotplug(ignore.into());
            before
        }
    }
}
