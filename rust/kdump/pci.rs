// SPDX-License-Identifier: GPL-2.0

//! PCI functions of the running machine: what they are, their configuration space, keeping others away from them.
//!
//! The kernel crate's own `pci::Device` is made for drivers of one device; this is for code that looks at all of them.
//!
//! C header: [`include/linux/pci.h`](srctree/include/linux/pci.h)

use core::{marker::PhantomData, ptr::null_mut};
use kernel::{
    bindings::{self, pci_dev},
    ffi::{c_int, c_uint},
    prelude::*,
};

/// Power states, as include/linux/pci.h defines them with a cast that bindgen does not see through.
pub(crate) const D0: c_int = 0;
pub(crate) const D3HOT: c_int = 3;

/// Milliseconds between the end of a reset and the first access (PCIe 6.0 6.6.1), unless somebody knows better.
const SETTLE_MS: u32 = 100;

/// A reference to one PCI function.
///
/// # Invariants
///
/// The pointer is valid, and a reference count of the `pci_dev` is ours.
pub struct PciDev(core::ptr::NonNull<pci_dev>);

// SAFETY: the count can be dropped in any thread.
unsafe impl Send for PciDev {}
// SAFETY: methods take shared references only to call functions that the kernel serialises (pci_lock for the
// configuration space), or to read fields that do not change after enumeration; exceptions are said at the method.
unsafe impl Sync for PciDev {}

impl Drop for PciDev {
    fn drop(&mut self) {
        // SAFETY: the reference is ours.
        unsafe { bindings::pci_dev_put(self.as_raw()) };
    }
}

/// Keeps PCI functions from being added and removed.
///
/// # Invariants
///
/// This task holds the lock.
pub struct RescanLock(PhantomData<*mut ()>);

impl RescanLock {
    /// Waits for the lock.
    ///
    /// Context: may sleep.
    pub fn take() -> Self {
        // SAFETY: no lock of ours is held that hotplug code could want.
        unsafe { bindings::pci_lock_rescan_remove() };
        // INVARIANT: taken just now.
        Self(PhantomData)
    }
}

impl Drop for RescanLock {
    fn drop(&mut self) {
        // SAFETY: held by the type invariant.
        unsafe { bindings::pci_unlock_rescan_remove() };
    }
}

/// Every PCI function of the machine; see [`PciDev::all`].
pub struct All(*mut pci_dev);

impl Iterator for All {
    type Item = PciDev;

    fn next(&mut self) -> Option<PciDev> {
        const ANY: c_uint = bindings::PCI_ANY_ID as c_uint;
        // SAFETY: the pointer is null or counted by us; the call drops that count and counts what it returns.
        self.0 = unsafe { bindings::pci_get_device(ANY, ANY, self.0) };
        // SAFETY: null or valid. The iterator's own count is taken over by the next call.
        let device = unsafe { bindings::pci_dev_get(self.0) };
        // INVARIANT: valid, and counted just now.
        core::ptr::NonNull::new(device).map(PciDev)
    }
}

impl Drop for All {
    fn drop(&mut self) {
        // SAFETY: null or counted by us.
        unsafe { bindings::pci_dev_put(self.0) };
    }
}

/// The kinds of functions that matter to a reset, from the header type and the PCI Express capability.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Port {
    /// Root port or a switch's downstream port: a link is below.
    Downstream,
    /// A switch's upstream port: the switch's internal bus is below.
    Upstream,
    /// A bridge to conventional PCI, whatever is above it.
    Conventional,
}

impl PciDev {
    /// Brings the function to D0.
    pub(crate) fn wake(&self) {
        // SAFETY: valid.
        unsafe { bindings::pci_set_power_state(self.as_raw(), D0) };
    }

    /// All functions.
    ///
    /// Context: may sleep.
    pub fn all() -> All {
        All(null_mut())
    }

    pub(crate) fn as_raw(&self) -> *mut pci_dev {
        self.0.as_ptr()
    }

    fn get(&self) -> &pci_dev {
        // SAFETY: valid by the type invariant. Callers read fields that are constant after enumeration, or plain
        // integers whose staleness they can live with.
        unsafe { self.0.as_ref() }
    }

    /// Domain, bus, and device and function number.
    pub fn address(&self) -> (u32, u8, u8) {
        // SAFETY: a function's bus is valid as long as the function.
        let domain = unsafe { crate::bindings::kdump_helper_pci_domain_nr(self.get().bus) };
        // SAFETY: as above.
        let bus = unsafe { (*self.get().bus).number };
        (domain as u32, bus, self.get().devfn as u8)
    }

    /// The 24-bit class code.
    pub fn class(&self) -> u32 {
        self.get().class
    }

    /// The bridge above; None on a root bus. A virtual function has that of its physical function.
    pub fn upstream_bridge(&self) -> Option<*const ()> {
        let device = match self.physical() {
            Some(physical) => physical.cast::<pci_dev>(),
            None => self.as_raw().cast_const(),
        };
        // SAFETY: the function and its bus are valid; a physical function outlives its virtual ones.
        let bridge = unsafe { (*(*device).bus).self_ };
        (!bridge.is_null()).then_some(bridge.cast_const().cast())
    }

    /// The physical function of a virtual function.
    pub fn physical(&self) -> Option<*const ()> {
        if self.get().is_virtfn() == 0 {
            return None;
        }
        // SAFETY: for virtual functions this is the active field of the union.
        let physical = unsafe { self.get().__bindgen_anon_1.physfn };
        Some(physical.cast_const().cast())
    }

    /// Whether this is the function that [`Self::upstream_bridge`] or [`Self::physical`] of another one means.
    pub fn is(&self, other: *const ()) -> bool {
        core::ptr::eq(self.as_raw().cast::<()>(), other)
    }

    /// What is below, if there is a secondary bus.
    pub fn port(&self) -> Option<Port> {
        if self.get().subordinate.is_null() {
            return None;
        }
        Some(match self.express_type() {
            Some(bindings::PCI_EXP_TYPE_ROOT_PORT | bindings::PCI_EXP_TYPE_DOWNSTREAM) => {
                Port::Downstream
            }
            // The link of a PCI-to-PCIe bridge is below it.
            Some(bindings::PCI_EXP_TYPE_PCIE_BRIDGE) => Port::Downstream,
            Some(bindings::PCI_EXP_TYPE_UPSTREAM) => Port::Upstream,
            _ => Port::Conventional,
        })
    }

    fn express_type(&self) -> Option<u32> {
        let flags = u32::from(self.get().pcie_flags_reg);
        (self.get().pcie_cap != 0).then_some((flags & bindings::PCI_EXP_FLAGS_TYPE) >> 4)
    }

    /// A root port: it collects the error messages of everything below.
    pub(crate) fn is_root_port(&self) -> bool {
        self.express_type() == Some(bindings::PCI_EXP_TYPE_ROOT_PORT)
    }

    /// It has a hotplug slot or at least the registers of one.
    pub(crate) fn has_slot(&self) -> bool {
        let slot = u32::from(self.get().pcie_flags_reg) & bindings::PCI_EXP_FLAGS_SLOT != 0;
        self.port() == Some(Port::Downstream) && slot
    }

    /// A CardBus bridge.
    pub fn is_cardbus(&self) -> bool {
        u32::from(self.get().hdr_type) == bindings::PCI_HEADER_TYPE_CARDBUS
    }

    /// The port can do more than 5 GT/s.
    pub fn is_fast(&self) -> bool {
        // SAFETY: valid; reads the configuration space.
        let speed = unsafe { bindings::pcie_get_speed_cap(self.as_raw()) };
        speed > bindings::pci_bus_speed_PCIE_SPEED_5_0GT
            && speed != bindings::pci_bus_speed_PCI_SPEED_UNKNOWN
    }

    /// The port reports whether its link is active.
    pub fn reports_link_active(&self) -> bool {
        self.get().link_active_reporting() != 0
    }

    /// Whether the link below the port is active.
    pub fn link_active(&self) -> bool {
        let status = self.read_express(bindings::PCI_EXP_LNKSTA);
        status != u16::MAX && u32::from(status) & bindings::PCI_EXP_LNKSTA_DLLLA != 0
    }

    /// A CXL port that ignores the reset bit ("Unmask SBR" is 0).
    pub fn ignores_bus_reset(&self) -> bool {
        if self.get().is_cxl() == 0 {
            return false;
        }
        let (vendor, id) = (
            bindings::PCI_VENDOR_ID_CXL as u16,
            bindings::PCI_DVSEC_CXL_PORT as u16,
        );
        // SAFETY: valid; reads the configuration space.
        let at = unsafe { bindings::pci_find_dvsec_capability(self.as_raw(), vendor, id) };
        if at == 0 {
            return false;
        }
        let control = self.read_u16(u32::from(at) + bindings::PCI_DVSEC_CXL_PORT_CTL);
        control != u16::MAX && u32::from(control) & bindings::PCI_DVSEC_CXL_PORT_CTL_UNMASK_SBR == 0
    }

    /// Part of a Thunderbolt controller.
    pub fn is_thunderbolt(&self) -> bool {
        self.get().is_thunderbolt() != 0
    }

    pub(crate) fn host_bridge(&self) -> &bindings::pci_host_bridge {
        // SAFETY: every bus has a host bridge, which outlives its functions.
        unsafe { &*bindings::pci_find_host_bridge(self.get().bus) }
    }

    /// On a root bus whose host bridge resets root ports in its own way.
    pub fn host_resets_it(&self) -> bool {
        // SAFETY: the host bridge is valid.
        let resets =
            unsafe { crate::bindings::kdump_helper_pci_host_resets_ports(self.host_bridge()) };
        self.upstream_bridge().is_none() && resets
    }

    /// A quirk forbids bus resets.
    pub fn has_no_bus_reset_quirk(&self) -> bool {
        self.has_flag(bindings::pci_dev_flags_PCI_DEV_FLAGS_NO_BUS_RESET)
    }

    fn has_flag(&self, flag: bindings::pci_dev_flags) -> bool {
        u32::from(self.get().dev_flags) & flag != 0
    }

    /// It has function level reset, by either capability, and no quirk forbids it.
    pub fn has_flr(&self) -> bool {
        let express = self.get().devcap & bindings::PCI_EXP_DEVCAP_FLR != 0;
        !self.has_flag(bindings::pci_dev_flags_PCI_DEV_FLAGS_NO_FLR_RESET)
            && (express || self.advanced_features().is_some())
    }

    /// Where the Advanced Features capability is, if it offers function level reset.
    pub(crate) fn advanced_features(&self) -> Option<u32> {
        const NEEDED: u32 = bindings::PCI_AF_CAP_TP | bindings::PCI_AF_CAP_FLR;
        let at = self.find_capability(bindings::PCI_CAP_ID_AF)?;
        let capabilities = u32::from(self.read_u8(at + bindings::PCI_AF_CAP));
        (capabilities & NEEDED == NEEDED).then_some(at)
    }

    pub(crate) fn has_express_flr(&self) -> bool {
        self.get().devcap & bindings::PCI_EXP_DEVCAP_FLR != 0
    }

    /// Going to D3hot and back to D0 resets it, and no quirk forbids it.
    pub fn has_pm_reset(&self) -> bool {
        let Some(at) = self.pm_capability() else {
            return false;
        };
        let control = self.read_u16(at + bindings::PCI_PM_CTRL);
        !self.has_flag(bindings::pci_dev_flags_PCI_DEV_FLAGS_NO_PM_RESET)
            && control != u16::MAX
            && u32::from(control) & bindings::PCI_PM_CTRL_NO_SOFT_RESET == 0
    }

    pub(crate) fn pm_capability(&self) -> Option<u32> {
        Some(u32::from(self.get().pm_cap)).filter(|at| *at != 0)
    }

    /// Milliseconds it needs after entering or leaving D3hot.
    pub fn d3hot_delay_ms(&self) -> u32 {
        self.get().d3hot_delay
    }

    /// Milliseconds it needs after its bus was reset, before the first access.
    pub fn settle_ms(&self) -> u32 {
        // Firmware and quirks change the field; without the power management capability nobody sets it at all.
        match self.pm_capability() {
            Some(_) => self.get().d3cold_delay,
            None => SETTLE_MS,
        }
    }

    /// Bus Master is on.
    pub fn is_bus_master(&self) -> bool {
        let command = self.read_u16(bindings::PCI_COMMAND);
        command != u16::MAX && u32::from(command) & bindings::PCI_COMMAND_MASTER != 0
    }

    fn find_capability(&self, id: u32) -> Option<u32> {
        // SAFETY: valid; reads the configuration space.
        let at = unsafe { bindings::pci_find_capability(self.as_raw(), id as c_int) };
        (at != 0).then_some(u32::from(at))
    }

    pub(crate) fn find_ext_capability(&self, id: u32) -> Option<u32> {
        // SAFETY: valid; reads the configuration space.
        let at = unsafe { bindings::pci_find_ext_capability(self.as_raw(), id as c_int) };
        (at != 0).then_some(u32::from(at))
    }
}

/// Configuration space. Reads that fail give all ones, as the hardware does; writes that fail are lost.
impl PciDev {
    pub(crate) fn read_u8(&self, at: u32) -> u8 {
        let mut value = u8::MAX;
        // SAFETY: valid; on error the kernel writes all ones.
        unsafe { bindings::pci_read_config_byte(self.as_raw(), at as c_int, &mut value) };
        value
    }

    pub(crate) fn read_u16(&self, at: u32) -> u16 {
        let mut value = u16::MAX;
        // SAFETY: as above.
        unsafe { bindings::pci_read_config_word(self.as_raw(), at as c_int, &mut value) };
        value
    }

    pub(crate) fn read_u32(&self, at: u32) -> u32 {
        let mut value = u32::MAX;
        // SAFETY: as above.
        unsafe { bindings::pci_read_config_dword(self.as_raw(), at as c_int, &mut value) };
        value
    }

    pub(crate) fn write_u8(&self, at: u32, value: u8) {
        // SAFETY: valid.
        unsafe { bindings::pci_write_config_byte(self.as_raw(), at as c_int, value) };
    }

    pub(crate) fn write_u16(&self, at: u32, value: u16) {
        // SAFETY: valid.
        unsafe { bindings::pci_write_config_word(self.as_raw(), at as c_int, value) };
    }

    pub(crate) fn write_u32(&self, at: u32, value: u32) {
        // SAFETY: valid.
        unsafe { bindings::pci_write_config_dword(self.as_raw(), at as c_int, value) };
    }

    /// A register of the PCI Express capability; one that the function lacks reads 0.
    pub(crate) fn read_express(&self, at: u32) -> u16 {
        let mut value = 0;
        // SAFETY: valid.
        unsafe { bindings::pcie_capability_read_word(self.as_raw(), at as c_int, &mut value) };
        value
    }

    pub(crate) fn write_express(&self, at: u32, value: u16) {
        // SAFETY: valid.
        unsafe { bindings::pcie_capability_write_word(self.as_raw(), at as c_int, value) };
    }
}

/// What a function says when its identity is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Identity {
    /// It is there.
    Present,
    /// It wants to be asked later (Request Retry Status).
    Retry,
    /// Nothing answers.
    Absent,
}

impl PciDev {
    /// Reads the identity.
    pub fn identity(&self) -> Identity {
        let id = self.read_u32(bindings::PCI_VENDOR_ID);
        match id {
            // The vendor ID of a virtual function is all ones.
            u32::MAX if self.get().is_virtfn() != 0 => match self.read_u32(bindings::PCI_COMMAND) {
                u32::MAX => Identity::Absent,
                _ => Identity::Present,
            },
            u32::MAX => Identity::Absent,
            // PCIe 6.0 2.3.2: the value that stands for "retry".
            _ if id & 0xffff == 1 => Identity::Retry,
            _ => Identity::Present,
        }
    }

    /// Keeps drivers from binding and user space from the configuration space; None when somebody else does already.
    ///
    /// Context: does not wait.
    pub fn try_lock(&self) -> Option<Locked<'_>> {
        // SAFETY: valid.
        let locked = unsafe { bindings::pci_dev_trylock(self.as_raw()) } != 0;
        // INVARIANT: it is locked now.
        locked.then_some(Locked {
            device: self,
            _not_send: PhantomData,
        })
    }
}

/// A locked function; see [`PciDev::try_lock`].
///
/// # Invariants
///
/// The device lock and the configuration access lock are held by this task.
pub struct Locked<'a> {
    device: &'a PciDev,
    /// A mutex is unlocked by the task that locked it.
    _not_send: PhantomData<*mut ()>,
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // SAFETY: locked by the type invariant.
        unsafe { bindings::pci_dev_unlock(self.device.as_raw()) };
    }
}

impl Locked<'_> {
    /// Whether a driver is bound. The kernel's own drivers of ports do not count: they expect resets.
    pub fn has_driver(&self) -> bool {
        let driver = self.device.get().driver;
        // SAFETY: with the device lock held, a bound driver stays bound, so it and its name are valid.
        let name = || unsafe { CStr::from_char_ptr((*driver).name) };
        let of_ports = [c"pcieport", c"shpchp"];
        let is_port = self.device.port().is_some();
        !(driver.is_null() || is_port && of_ports.contains(&name()))
    }
}
