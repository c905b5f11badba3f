// SPDX-License-Identifier: GPL-2.0-or-later
//! Which modules the targets need: from sysfs of the machine that builds, where the kernel has found the drivers already.

use super::modules::ModuleTree;
use crate::blockdev;
use crate::config::{Config, Ipv6, Kind, Modules, Network};
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A module and what wants it.
pub type Needed = (String, String);

/// The modules to load, in this order.
///
/// # Errors
/// `auto`, and a target's device is not on this machine, or is one that modules alone do not bring up.
pub fn modules(config: &Config, tree: &ModuleTree) -> Result<Vec<Needed>> {
    let mut needed: Vec<Needed> = Vec::new();
    match &config.initramfs.modules {
        Modules::List(names) => {
            needed.extend(
                names
                    .iter()
                    .map(|name| (name.clone(), "modules".to_owned())),
            );
        }
        Modules::Auto => {
            // First: its time has been running since the crash.
            let found = of_watchdogs(Path::new("/sys"));
            let found = found.into_iter().filter(|name| tree.has(name));
            needed.extend(found.map(|name| (name, "watchdog".to_owned())));
            for target in &config.targets {
                let found = of_target(&target.kind, Path::new("/sys")).with_context(|| {
                    format!(
                        "finding the modules for {} (a list in [initramfs] modules is taken instead of \"auto\")",
                        target.kind.place()
                    )
                })?;
                // What no module of this kernel does is built in, or an optional helper.
                needed.extend(found.into_iter().filter(|(name, _)| tree.has(name)));
            }
            if let (Some(network), true) = (&config.network, config.needs_network()) {
                let found = of_network(network, Path::new("/sys"))?;
                needed.extend(found.into_iter().filter(|(name, _)| tree.has(name)));
            }
        }
    }
    let extra = config.initramfs.extra_modules.iter();
    needed.extend(extra.map(|name| (name.clone(), "extra_modules".to_owned())));
    let mut seen = std::collections::BTreeSet::new();
    needed.retain(|(name, _)| seen.insert(name.replace('-', "_")));
    Ok(needed)
}

/// Modules that drive this machine's watchdogs and what they hang on.
///
/// One that was started (by the firmware, by systemd) runs on after a crash, and resets the machine in mid-dump. Its
/// driver finds it running and feeds it. softdog is no device and dies with its kernel; what is built in needs no module.
pub fn of_watchdogs(sys: &Path) -> Vec<String> {
    let entries = fs::read_dir(sys.join("class/watchdog"));
    let mut places: Vec<PathBuf> = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| fs::canonicalize(entry.ok()?.path()).ok())
        .collect();
    places.sort();
    // Only modules have a state.
    let is_module = |name: &String| sys.join("module").join(name).join("initstate").exists();
    let found = places.iter().flat_map(|place| drivers(place, sys));
    found.filter(is_module).collect()
}

fn of_target(kind: &Kind, sys: &Path) -> Result<Vec<Needed>> {
    let place = kind.place();
    let because = |name: &str| (name.to_owned(), place.clone());
    match kind {
        Kind::Filesystem(disk) => {
            let device = device(&disk.device)?;
            let mut found = drivers_of_block(&device, sys)?;
            let fstype = match &disk.fstype {
                Some(fstype) => fstype.clone(),
                None => blockdev::file_system(&device)?.fstype.to_owned(),
            };
            found.push(fstype);
            Ok(found.iter().map(|name| because(name)).collect())
        }
        Kind::Raw(raw) => {
            let found = drivers_of_block(&device(&raw.device)?, sys)?;
            Ok(found.iter().map(|name| because(name)).collect())
        }
        Kind::Nfs(nfs) => {
            let v3 = nfs
                .options
                .split(',')
                .any(|o| o == "vers=3" || o == "nfsvers=3");
            Ok(vec![because(if v3 { "nfsv3" } else { "nfsv4" })])
        }
        Kind::Ssh(_) => Ok(Vec::new()),
    }
}

fn device(name: &str) -> Result<PathBuf> {
    blockdev::find(name).with_context(|| format!("{name} is not on this machine"))
}

/// Drivers of a block device and of everything it hangs on, the outermost first.
fn drivers_of_block(device: &Path, sys: &Path) -> Result<Vec<String>> {
    let number = fs::metadata(device)
        .with_context(|| format!("looking at {}", device.display()))?
        .rdev();
    let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
    let link = sys.join(format!("dev/block/{major}:{minor}"));
    let place = fs::canonicalize(&link).with_context(|| {
        format!(
            "{} is no block device ({} is missing)",
            device.display(),
            link.display()
        )
    })?;
    let slaves = |folder: &Path| fs::read_dir(folder.join("slaves")).is_ok_and(|d| d.count() > 0);
    if slaves(&place) {
        bail!(
            "{} is made of other devices (LVM, RAID, encryption): the capture kernel does not put them together",
            device.display()
        );
    }
    Ok(drivers(&place, sys))
}

/// Modules of the drivers on the way from a device up to the root of sysfs, the outermost first.
fn drivers(place: &Path, sys: &Path) -> Vec<String> {
    let stop = fs::canonicalize(sys.join("devices")).unwrap_or_else(|_| sys.join("devices"));
    let mut found: Vec<String> = place
        .ancestors()
        .take_while(|folder| folder.starts_with(&stop))
        .filter_map(|folder| fs::canonicalize(folder.join("driver/module")).ok())
        .filter_map(|module| Some(module.file_name()?.to_string_lossy().into_owned()))
        .collect();
    found.reverse();
    found
}

fn of_network(network: &Network, sys: &Path) -> Result<Vec<Needed>> {
    let because = |name: &str| (name.to_owned(), "network".to_owned());
    let mut found = Vec::new();
    let class = sys.join("class/net");
    let entries = fs::read_dir(&class).with_context(|| format!("reading {}", class.display()))?;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let mac = fs::read_to_string(entry.path().join("address")).unwrap_or_default();
        let wanted = network
            .interfaces
            .iter()
            .any(|w| *w == name || w.eq_ignore_ascii_case(mac.trim()));
        let Ok(device) = fs::canonicalize(entry.path().join("device")) else {
            continue;
        };
        if wanted || network.interfaces.is_empty() {
            found.extend(drivers(&device, sys).iter().map(|name| because(name)));
        }
    }
    let optional = [
        ("af_packet", true),
        ("ipv6", network.ipv6 != Ipv6::None),
        ("bonding", network.bond.is_some()),
        ("8021q", network.vlan.is_some()),
    ];
    let wanted = optional.iter().filter(|(_, wanted)| *wanted);
    found.extend(wanted.map(|(name, _)| because(name)));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A sysfs of our own with `device` behind these drivers (name, place in devices/).
    fn sysfs(name: &str, device: &str, behind: &[(&str, &str)]) -> PathBuf {
        let sys = std::env::temp_dir().join(format!("kdumpkit-{name}-{}", std::process::id()));
        fs::create_dir_all(sys.join("devices").join(device)).unwrap();
        for (driver, place) in behind {
            let module = sys.join("module").join(driver);
            let folder = sys.join("bus/drivers").join(driver);
            fs::create_dir_all(&module).unwrap();
            fs::create_dir_all(&folder).unwrap();
            symlink(&module, folder.join("module")).unwrap();
            symlink(&folder, sys.join("devices").join(place).join("driver")).unwrap();
        }
        sys
    }

    #[test]
    fn drivers_when_stacked_are_the_outermost_first() {
        let disk = "pci0/host0/target0/block/sda/sda1";
        let behind = [("ahci", "pci0"), ("sd_mod", "pci0/host0/target0")];
        let sys = sysfs("disk", disk, &behind);
        let found = drivers(
            &fs::canonicalize(sys.join("devices").join(disk)).unwrap(),
            &sys,
        );
        fs::remove_dir_all(&sys).unwrap();
        assert_eq!(found, ["ahci", "sd_mod"]);
    }

    #[test]
    fn watchdogs_when_one_is_softdog_and_a_driver_is_built_in_are_modules_of_devices() {
        let device = "port0/pci0/iTCO_wdt.1/watchdog/watchdog0";
        let modules = [
            ("lpc_ich", "port0/pci0"),
            ("iTCO_wdt", "port0/pci0/iTCO_wdt.1"),
        ];
        let built_in = [("pcieport", "port0")];
        let sys = sysfs("watchdog", device, &[&built_in[..], &modules].concat());
        for (module, _) in modules {
            fs::write(sys.join("module").join(module).join("initstate"), "live\n").unwrap();
        }
        let softdog = sys.join("devices/virtual/watchdog/watchdog1");
        fs::create_dir_all(&softdog).unwrap();
        let class = sys.join("class/watchdog");
        fs::create_dir_all(&class).unwrap();
        symlink(&softdog, class.join("watchdog1")).unwrap();
        symlink(sys.join("devices").join(device), class.join("watchdog0")).unwrap();
        let found = of_watchdogs(&sys);
        fs::remove_dir_all(&sys).unwrap();
        assert_eq!(found, ["lpc_ich", "iTCO_wdt"]);
        assert!(of_watchdogs(&sys).is_empty());
    }
}
