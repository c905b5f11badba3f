// SPDX-License-Identifier: GPL-2.0

//! Resetting PCI functions in steps, so that many can be reset together. A reset that has begun is a value: dropping it
//! ends the reset, so none can be forgotten.
//!
//! The kernel's own `pci_reset_bus()` and `pcie_flr()` reset one at a time, each with its own waiting time.
//!
//! C header: [`include/linux/pci.h`](srctree/include/linux/pci.h)

use crate::pci::{PciDev, D0, D3HOT};
use kernel::bindings;

/// The secondary bus of a bridge, held in reset.
#[must_use = "dropping it ends the reset at once"]
pub struct BusInReset<'a>(&'a PciDev);

impl<'a> BusInReset<'a> {
    /// Asserts the reset of everything behind `bridge`. Hold it for at least 1 ms (Trst, PCI 3.0 4.3.2).
    ///
    /// The bridge and everything behind it should be locked and saved: a reset loses the configuration.
    pub fn assert(bridge: &'a PciDev) -> Self {
        write_bus_reset(bridge, true);
        Self(bridge)
    }
}

impl Drop for BusInReset<'_> {
    fn drop(&mut self) {
        write_bus_reset(self.0, false);
    }
}

fn write_bus_reset(bridge: &PciDev, on: bool) {
    const RESET: u16 = bindings::PCI_BRIDGE_CTL_BUS_RESET as u16;
    let control = bridge.read_u16(bindings::PCI_BRIDGE_CONTROL) & !RESET;
    let control = if on { control | RESET } else { control };
    bridge.write_u16(bindings::PCI_BRIDGE_CONTROL, control);
}

/// A function in D3hot.
#[must_use = "dropping it brings the function back to D0 at once"]
pub struct InD3hot<'a>(&'a PciDev);

impl<'a> InD3hot<'a> {
    /// Sends the function to D3hot. Hold it for [`PciDev::d3hot_delay_ms`], and wait as long afterwards.
    pub fn enter(device: &'a PciDev) -> Self {
        write_power_state(device, D3HOT as u16);
        Self(device)
    }
}

impl Drop for InD3hot<'_> {
    fn drop(&mut self) {
        write_power_state(self.0, D0 as u16);
    }
}

fn write_power_state(device: &PciDev, state: u16) {
    const MASK: u16 = bindings::PCI_PM_CTRL_STATE_MASK as u16;
    if let Some(at) = device.pm_capability() {
        let at = at + bindings::PCI_PM_CTRL;
        device.write_u16(at, (device.read_u16(at) & !MASK) | state);
    }
}

impl PciDev {
    /// Begins a function level reset, which ends by itself; the function must be left alone for 100 ms.
    ///
    /// `pci_dev_reset_iommu_prepare()` is not needed: it keeps this kernel from invalidating the device's address
    /// translation cache during the reset, and this kernel has not enabled that for a device without a driver.
    ///
    /// Context: sleeps, up to 700 ms while transactions are pending.
    pub fn start_flr(&self) {
        // SAFETY: valid. A function with pending transactions is reset all the same, as pcie_flr() does.
        unsafe { bindings::pci_wait_for_pending_transaction(self.as_raw()) };
        if self.has_express_flr() {
            let control = self.read_express(bindings::PCI_EXP_DEVCTL);
            let flr = bindings::PCI_EXP_DEVCTL_BCR_FLR as u16;
            self.write_express(bindings::PCI_EXP_DEVCTL, control | flr);
        } else if let Some(at) = self.advanced_features() {
            self.write_u8(at + bindings::PCI_AF_CTRL, bindings::PCI_AF_CTRL_FLR as u8);
        }
    }

    /// Wakes the function, saves its configuration space for [`Self::restore`] and clears Command: it neither reads nor
    /// writes memory any more, nor interrupts. False when it does not answer or the kernel cannot save it.
    ///
    /// Lock it first. Context: may sleep.
    pub fn save_and_stop(&self) -> bool {
        // The power registers are those of D0 after a reset, so the state must be saved in D0.
        self.wake();
        if self.read_u32(bindings::PCI_COMMAND) == u32::MAX {
            return false;
        }
        // SAFETY: valid.
        let saved = unsafe { bindings::pci_save_state(self.as_raw()) } == 0;
        // INTx off as well: a function that was interrupting has no driver to quiet it.
        let command = bindings::PCI_COMMAND_INTX_DISABLE as u16;
        self.write_u16(bindings::PCI_COMMAND, command);
        saved
    }

    /// Writes back what [`Self::save_and_stop`] saved. Bus Master stays off for all but bridges, until a driver
    /// sets it.
    ///
    /// Keep it locked since then. Context: may sleep.
    pub fn restore(&self) {
        if self.port().is_none() {
            // SAFETY: valid; while the function is locked nobody else saves or restores it. The element holds
            // Command in its lower half.
            unsafe { (*self.as_raw()).saved_config_space[1] &= !bindings::PCI_COMMAND_MASTER };
        }
        // SAFETY: valid.
        unsafe { bindings::pci_restore_state(self.as_raw()) };
    }

    /// Clears Bus Master and masks INTx. False when the function does not answer.
    pub fn clear_bus_master(&self) -> bool {
        let command = self.read_u16(bindings::PCI_COMMAND);
        if command == u16::MAX {
            return false;
        }
        let off = bindings::PCI_COMMAND_MASTER as u16;
        let on = bindings::PCI_COMMAND_INTX_DISABLE as u16;
        self.write_u16(bindings::PCI_COMMAND, (command & !off) | on);
        true
    }
}
