// SPDX-License-Identifier: GPL-2.0
//! What the plan knows about the machine: PCI functions, how they hang together, what each can do.
//!
//! `core` only: Kbuild compiles this into reset_devices.ko, Cargo into `modlogic::reset` for tests.

use core::fmt;

/// Where a function sits: domain, bus, device and function number.
///
/// Ordered as the kernel's own listings are: by domain, bus, device, function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// PCI domain (segment); VMD's begin at 0x10000, so more than 16 bits.
    pub domain: u32,
    /// Bus number.
    pub bus: u8,
    /// Device and function as the hardware packs them: `device << 3 | function`.
    pub devfn: u8,
}

impl Address {
    /// Makes an address of its parts; bits that do not belong to a device or function number are dropped.
    pub const fn new(domain: u32, bus: u8, device: u8, function: u8) -> Self {
        Self {
            domain,
            bus,
            devfn: (device << 3) | (function & 7),
        }
    }

    /// Device number, 0 to 31.
    pub const fn device(self) -> u8 {
        self.devfn >> 3
    }

    /// Function number, 0 to 7.
    pub const fn function(self) -> u8 {
        self.devfn & 7
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (device, function) = (self.device(), self.function());
        write!(
            f,
            "{:04x}:{:02x}:{device:02x}.{function}",
            self.domain, self.bus
        )
    }
}

/// The 24-bit class code of a function: base class, subclass, programming interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Class(pub u32);

impl Class {
    /// Base class, the top byte.
    pub const fn base(self) -> u8 {
        (self.0 >> 16) as u8
    }

    /// Base class and subclass, as `include/linux/pci_ids.h` lists them.
    pub const fn base_and_sub(self) -> u16 {
        (self.0 >> 8) as u16
    }

    /// Base class 0x03: the console may be on it.
    pub const fn is_display(self) -> bool {
        self.base() == 0x03
    }

    /// Base class 0x05: CXL and other memory that may hold pages of the dump.
    pub const fn is_memory(self) -> bool {
        self.base() == 0x05
    }

    /// Host, ISA and other non-PCI bridges, and system peripherals except SD hosts (0x0805): parts of the
    /// platform that no storage or network driver restarts.
    pub const fn is_platform(self) -> bool {
        match self.base() {
            0x06 => true,
            0x08 => self.base_and_sub() != 0x0805,
            _ => false,
        }
    }
}

/// How the secondary bus of a bridge is reached; decides how long a reset of it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Conventional PCI or PCI-X.
    Conventional,
    /// The link below a root port or a switch's downstream port.
    Express {
        /// The port can do more than 5 GT/s.
        fast: bool,
        /// The port reports when the data link layer is active.
        reports_active: bool,
    },
    /// The bus inside a switch, below its upstream port.
    Internal,
}

/// What is special about a function that is a PCI-to-PCI bridge or a PCI Express port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// The secondary bus.
    pub link: Link,
    /// CXL port whose secondary bus reset bit has no effect ("Unmask SBR" is 0, CXL 3.1 8.1.5.2).
    pub reset_masked: bool,
    /// Part of a Thunderbolt domain: a reset takes the tunnels down.
    pub thunderbolt: bool,
    /// The host bridge's driver wants to reset its root ports itself.
    pub host_resets: bool,
    /// Milliseconds the devices below need before the first access (100 unless firmware or a quirk says other).
    pub settle_ms: u32,
}

impl Bridge {
    /// A root or downstream port without peculiarities.
    pub const PORT: Self = Self {
        link: Link::Express {
            fast: false,
            reports_active: true,
        },
        reset_masked: false,
        thunderbolt: false,
        host_resets: false,
        settle_ms: 100,
    };
}

/// One PCI function as found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Where it sits.
    pub address: Address,
    /// Index of the bridge it sits behind; none on a root bus. Always smaller than the function's own index.
    pub parent: Option<usize>,
    /// For a virtual function the index of its physical function, which is always smaller than its own.
    pub physical: Option<usize>,
    /// What it is.
    pub class: Class,
    /// Set for bridges and ports.
    pub bridge: Option<Bridge>,
    /// A driver is bound, other than the port driver of a bridge.
    pub bound: bool,
    /// Bus master is enabled: it may read and write memory.
    pub bus_master: bool,
    /// Function level reset is there (PCI Express or Advanced Features) and no quirk forbids it.
    pub flr: bool,
    /// D3hot to D0 resets it (No_Soft_Reset is 0) and no quirk forbids it.
    pub pm_reset: bool,
    /// A quirk forbids every bus reset that would reach it.
    pub no_bus_reset: bool,
    /// Milliseconds it needs after entering or leaving D3hot (10 unless a quirk says other).
    pub d3hot_delay_ms: u32,
}

impl Function {
    /// Whether both are functions of one device: what happens to one may be felt by the other.
    pub fn same_device(&self, other: &Self) -> bool {
        let (a, b) = (self.address, other.address);
        (a.domain, a.bus, a.device()) == (b.domain, b.bus, b.device())
    }
}
