// SPDX-License-Identifier: GPL-2.0-or-later
//! A topology and what is expected of it, from tests/topologies/NAME.json.

use anyhow::{Context, Result, ensure};
use kdumpkit::tree::Tree;
use serde::Deserialize;
use std::fs;

/// A guest's PCI devices.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// For the reader of a failure.
    pub about: String,
    /// QEMU arguments.
    pub qemu: Vec<String>,
    /// What is done before the crash.
    pub first_kernel: FirstKernel,
    /// What is expected of each device.
    pub devices: Vec<Device>,
}

/// The crash finds the devices at work.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstKernel {
    /// Drivers.
    pub modules: Vec<String>,
    /// Shell script that puts the devices to work.
    #[serde(rename = "use")]
    pub script: String,
}

/// One function.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// As sysfs names it.
    pub address: String,
    /// Method and state that reset_devices must report.
    pub method: String,
    pub state: String,
    /// The driver that must bind to it afterwards.
    #[serde(default)]
    pub driver: Option<String>,
    pub registers: Vec<Register>,
}

/// A 32-bit register, in a memory BAR or (without `bar`) in configuration space.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    pub name: String,
    #[serde(default)]
    pub bar: Option<u8>,
    /// Hexadecimal.
    pub offset: String,
    /// Hexadecimal; all bits without it.
    #[serde(default)]
    pub mask: Option<String>,
    pub before: Expected,
    pub after: Expected,
}

/// What a register must hold, under its mask.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Expected {
    /// "any set": not zero.
    AnySet,
    /// "same": as before.
    Same,
    /// A hexadecimal number.
    Exactly(u32),
}

impl TryFrom<String> for Expected {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "any set" => Ok(Self::AnySet),
            "same" => Ok(Self::Same),
            _ => hex(&text)
                .map(Self::Exactly)
                .map_err(|_| format!("{text:?}: give \"any set\", \"same\" or a number like 0x10")),
        }
    }
}

impl Expected {
    pub fn fits(&self, value: u32, before: u32, mask: u32) -> bool {
        match self {
            Self::AnySet => value & mask != 0,
            Self::Same => value & mask == before & mask,
            Self::Exactly(expected) => value & mask == *expected,
        }
    }
}

/// A number like 0x10.
pub fn hex(text: &str) -> Result<u32> {
    let digits = text
        .trim()
        .strip_prefix("0x")
        .with_context(|| format!("{text:?} is no number like 0x10"))?;
    u32::from_str_radix(digits, 16).with_context(|| format!("{text:?} is no number like 0x10"))
}

impl Register {
    pub fn mask(&self) -> u32 {
        self.mask
            .as_deref()
            .map_or(u32::MAX, |m| hex(m).expect("checked when read"))
    }
}

impl Topology {
    pub fn read(tree: &Tree, name: &str) -> Result<Self> {
        let path = tree.path(&format!("tests/topologies/{name}.json"));
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let topology: Self = serde_json::from_str(&text)
            .with_context(|| format!("understanding {}", path.display()))?;
        for register in topology.devices.iter().flat_map(|d| &d.registers) {
            hex(&register.offset)?;
            register.mask.as_deref().map(hex).transpose()?;
        }
        ensure!(!topology.devices.is_empty(), "{name}: nothing is expected");
        Ok(topology)
    }
}
