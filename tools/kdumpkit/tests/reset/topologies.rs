// SPDX-License-Identifier: GPL-2.0-or-later
//! Every topology of tests/topologies: crash with the devices at work, reset them in the capture kernel, look.

use crate::guest::{Bench, Guest, Said};
use crate::topology::{Device, Topology, hex};
use anyhow::{Result, ensure};

/// VT-d, in both kernels: the capture kernel takes the crashed kernel's translation tables over.
enum Iommu {
    Off,
    On,
}

fn check(name: &str, iommu: Iommu) -> Result<()> {
    let (suffix, cmdline, mut qemu) = match iommu {
        Iommu::Off => ("", "", vec![]),
        Iommu::On => ("-iommu", "intel_iommu=on", vec!["-device", "intel-iommu"]),
    };
    let bench = Bench::new(&format!("{name}{suffix}"))?;
    let topology = Topology::read(&bench.lab.tree, name)?;
    println!("{name}{suffix}: {}", topology.about);
    let load: String = topology
        .first_kernel
        .modules
        .iter()
        .map(|m| format!("modprobe {m} || exit 1\n"))
        .collect();
    qemu.extend(topology.qemu.iter().map(String::as_str));
    let guest = Guest {
        modules: topology
            .first_kernel
            .modules
            .iter()
            .map(String::as_str)
            .collect(),
        cmdline,
        qemu: qemu.into_iter().map(String::from).collect(),
        script: format!(
            "{load}b sleep 1\n{} || exit 1\n",
            topology.first_kernel.script
        ),
        capture: Some(capture_script(&topology, &load)),
    };
    bench.run(&guest, |said| {
        topology
            .devices
            .iter()
            .try_for_each(|device| judge(device, said))
    })
}

/// Registers before, reset, registers after, then the drivers.
fn capture_script(topology: &Topology, load: &str) -> String {
    let registers = |when: &str| -> String {
        let lines = topology.devices.iter().flat_map(|d| {
            d.registers.iter().map(move |r| {
                let bar = r.bar.map_or("-".to_owned(), |bar| bar.to_string());
                format!(
                    "reg {when} {} {} {bar} {} || exit 1\n",
                    d.address, r.name, r.offset
                )
            })
        });
        lines.collect()
    };
    let probes: String = topology
        .devices
        .iter()
        .map(|d| format!("probe {}\n", d.address))
        .collect();
    format!(
        "{}modprobe reset_devices || exit 1\nresults\n{}{load}{probes}",
        registers("before"),
        registers("after")
    )
}

fn judge(device: &Device, said: &Said) -> Result<()> {
    let address = &device.address;
    let fields: Vec<&str> = said
        .one(&format!("device {address}"))?
        .splitn(4, ' ')
        .collect();
    ensure!(
        fields[..2] == [device.method.as_str(), device.state.as_str()],
        "{address}: expected {} {}, reset_devices says {fields:?}",
        device.method,
        device.state
    );
    for register in &device.registers {
        let read = |when| hex(said.one(&format!("register {when} {address} {}", register.name))?);
        let (before, after) = (read("before")?, read("after")?);
        let mask = register.mask();
        let what = format!(
            "{address} {}: {before:#x} before, {after:#x} after",
            register.name
        );
        ensure!(
            register.before.fits(before, before, mask),
            "{what}: expected {:x?} before (was the device at work?)",
            register.before
        );
        ensure!(
            register.after.fits(after, before, mask),
            "{what}: expected {:x?} after",
            register.after
        );
        println!("{what}");
    }
    if let Some(driver) = &device.driver {
        let bound = said.one(&format!("driver {address}"))?;
        ensure!(
            bound == driver,
            "{address}: expected driver {driver}, bound is {bound:?}"
        );
    }
    Ok(())
}

macro_rules! topologies {
    ($($test:ident: $name:literal, $iommu:expr;)*) => {$(
        #[test]
        #[ignore = "boots a guest: make check does it"]
        fn $test() -> Result<()> {
            check($name, $iommu)
        }
    )*};
}

topologies! {
    reset_when_devices_are_behind_root_ports: "root-ports", Iommu::Off;
    reset_when_devices_are_behind_root_ports_and_iommu: "root-ports", Iommu::On;
    reset_when_devices_are_behind_a_switch: "switch", Iommu::Off;
    reset_when_devices_are_behind_a_switch_and_iommu: "switch", Iommu::On;
    reset_when_bus_is_conventional_pci: "conventional", Iommu::Off;
    reset_when_bus_is_conventional_pci_and_iommu: "conventional", Iommu::On;
    reset_when_display_is_behind_a_port: "display", Iommu::Off;
    reset_when_display_is_behind_a_port_and_iommu: "display", Iommu::On;
    reset_when_devices_are_on_the_root_complex: "root-complex", Iommu::Off;
    reset_when_devices_are_on_the_root_complex_and_iommu: "root-complex", Iommu::On;
}
