// SPDX-License-Identifier: GPL-2.0-or-later
//! Topologies: generated ones for the property tests, named pieces for the others.

use modlogic::reset::topology::{Address, Bridge, Class, Function, Link};
use proptest::prelude::*;

pub const NVME: Class = Class(0x01_08_02);
pub const ETHERNET: Class = Class(0x02_00_00);
pub const AHCI: Class = Class(0x01_06_01);
pub const VGA: Class = Class(0x03_00_00);
pub const AUDIO: Class = Class(0x04_03_00);
pub const CXL_MEMORY: Class = Class(0x05_02_10);
pub const ISA_BRIDGE: Class = Class(0x06_01_00);
pub const PCI_BRIDGE: Class = Class(0x06_04_00);

/// An endpoint that can do nothing but be reset through the port above it.
pub const fn endpoint(address: Address, parent: Option<usize>, class: Class) -> Function {
    Function {
        address,
        parent,
        physical: None,
        class,
        bridge: None,
        bound: false,
        bus_master: true,
        flr: false,
        pm_reset: false,
        no_bus_reset: false,
        d3hot_delay_ms: 10,
    }
}

/// A bridge at `address`, otherwise like a plain root port.
pub fn port(address: Address, parent: Option<usize>) -> Function {
    let mut function = endpoint(address, parent, PCI_BRIDGE);
    function.bridge = Some(Bridge::PORT);
    function
}

/// One random function; [`build`] hangs it into a tree.
type Seed = (u8, u8, u16);

/// Up to 24 functions in a random tree with random peculiarities, and text for `skip=` and `only=` that names some.
pub fn topologies() -> impl Strategy<Value = (Vec<Function>, String, String)> {
    let seeds = proptest::collection::vec(any::<Seed>(), 0..24);
    (seeds, any::<[u8; 4]>()).prop_map(|(seeds, picks)| {
        let functions = build(&seeds);
        let name = |pick: u8| {
            let i = usize::from(pick) % functions.len().max(1);
            functions
                .get(i)
                .filter(|_| pick < 128)
                .map(|f| f.address.to_string())
        };
        let list = |a, b| {
            let names: Vec<String> = [name(a), name(b)].into_iter().flatten().collect();
            names.join(",")
        };
        let skip = list(picks[0], picks[1]);
        let only = if picks[2] < 64 {
            list(picks[2], picks[3])
        } else {
            String::new()
        };
        (functions, skip, only)
    })
}

fn build(seeds: &[Seed]) -> Vec<Function> {
    let mut functions: Vec<Function> = Vec::new();
    for (i, &(place, kind, flags)) in seeds.iter().enumerate() {
        let bridges = (0..i).filter(|b| functions[*b].bridge.is_some());
        let above: Vec<Option<usize>> = std::iter::once(None).chain(bridges.map(Some)).collect();
        let parent = above[usize::from(place) % above.len()];
        let bus = parent.map_or(0, |p| p as u8 + 1);
        let siblings = functions.iter().filter(|f| f.parent == parent).count() as u8;
        // Three functions a device, so that multifunction devices are common.
        let address = Address::new(0, bus, siblings / 3, siblings % 3);
        functions.push(function(address, parent, kind, flags, &functions));
    }
    functions
}

fn function(
    address: Address,
    parent: Option<usize>,
    kind: u8,
    flags: u16,
    others: &[Function],
) -> Function {
    let bit = |n: u16| flags >> n & 1 == 1;
    // Rare, so that most topologies leave something to do.
    let rarely = |n: u16| flags >> n & 7 == 7;
    let class = match kind % 12 {
        0..=3 => PCI_BRIDGE,
        4 => VGA,
        5 => CXL_MEMORY,
        6 => ISA_BRIDGE,
        7 => AHCI,
        8 => ETHERNET,
        9 => AUDIO,
        _ => NVME,
    };
    let mut function = endpoint(address, parent, class);
    if class == PCI_BRIDGE {
        function.bridge = Some(Bridge {
            link: match kind / 12 % 6 {
                0 => Link::Conventional,
                1 => Link::Internal,
                n => Link::Express {
                    fast: n % 2 == 0,
                    reports_active: n < 4,
                },
            },
            reset_masked: rarely(10),
            thunderbolt: rarely(11),
            host_resets: rarely(12),
            settle_ms: 100,
        });
    } else {
        function.physical = others
            .iter()
            .position(|f| f.parent == parent && f.physical.is_none() && f.bridge.is_none())
            .filter(|_| rarely(9));
    }
    function.bus_master = bit(0);
    function.flr = bit(1);
    function.pm_reset = bit(2);
    function.bound = rarely(3);
    function.no_bus_reset = rarely(6);
    function
}
