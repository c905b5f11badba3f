// SPDX-License-Identifier: GPL-2.0-or-later
//! Brings up the network with busybox's ip and udhcpc and the kernel's sysfs.
//!
//! Runs in the process of the first target that needs it; what it did stays, so that the next finds it done.

use crate::config::{Ipv4, Ipv6, Network};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const CLASS: &str = "/sys/class/net";
/// There when the network is up; holds the interface.
const DONE: &str = "/run/kdumpkit-network";
/// The name under which udhcpc calls this program.
pub const UDHCPC_SCRIPT: &str = "/bin/kdumpkit-udhcpc";

/// Brings up link and addresses, once.
pub fn bring_up(network: &Network) -> Result<()> {
    if Path::new(DONE).exists() {
        return Ok(());
    }
    let link = Duration::from_secs(network.link_deadline_s);
    let address = Duration::from_secs(network.address_deadline_s);
    ip(&["link", "set", "lo", "up"])?;
    let interface = interface(network, link)?;
    // Both wait in turn: the slower one of two that were asked at the same time is a matter of seconds.
    bring_up_ipv4(&network.ipv4, &interface, address)?;
    bring_up_ipv6(&network.ipv6, &interface, address)?;
    fs::write(DONE, &interface)?;
    Ok(())
}

/// The interface that gets the addresses, with its link up.
fn interface(network: &Network, deadline: Duration) -> Result<String> {
    let end = Instant::now() + deadline;
    let members = members(network, end)?;
    let mut interface = match &network.bond {
        Some(mode) => bond(mode, &members)?,
        None => {
            for member in &members {
                ip(&["link", "set", member, "up"])?;
            }
            wait_for_any_link(&members, end)?
        }
    };
    if network.bond.is_some() {
        wait_for_any_link(std::slice::from_ref(&interface), end)?;
    }
    if let Some(id) = network.vlan {
        let vlan = format!("{}.{id}", &interface[..interface.len().min(10)]);
        if !Path::new(CLASS).join(&vlan).exists() {
            let id = id.to_string();
            let words = [
                "link", "add", "link", &interface, "name", &vlan, "type", "vlan", "id", &id,
            ];
            ip(&words)?;
        }
        ip(&["link", "set", &vlan, "up"])?;
        interface = vlan;
    }
    Ok(interface)
}

/// Kernel names of the configured interfaces; of all that are hardware when none is configured.
fn members(network: &Network, end: Instant) -> Result<Vec<String>> {
    loop {
        let here = hardware();
        let found: Vec<String> = match network.interfaces.as_slice() {
            [] => here.iter().map(|(name, _)| name.clone()).collect(),
            wanted => wanted
                .iter()
                .filter_map(|w| {
                    let same =
                        |(name, mac): &&(String, String)| name == w || mac.eq_ignore_ascii_case(w);
                    here.iter().find(same).map(|(name, _)| name.clone())
                })
                .collect(),
        };
        if !found.is_empty() && found.len() >= network.interfaces.len() {
            return Ok(found);
        }
        if Instant::now() > end {
            let list: Vec<String> = here.iter().map(|(n, m)| format!("{n} ({m})")).collect();
            bail!(
                "network interfaces {:?} are not all there; there are: {}",
                network.interfaces,
                list.join(", ")
            );
        }
        sleep(Duration::from_millis(50));
    }
}

/// Name and MAC address of each interface that has a device.
fn hardware() -> Vec<(String, String)> {
    let entries = fs::read_dir(CLASS).into_iter().flatten().flatten();
    let mut all: Vec<(String, String)> = entries
        .filter(|e| e.path().join("device").exists())
        .map(|e| {
            let mac = fs::read_to_string(e.path().join("address")).unwrap_or_default();
            (
                e.file_name().to_string_lossy().into_owned(),
                mac.trim().to_owned(),
            )
        })
        .collect();
    all.sort();
    all
}

fn bond(mode: &str, members: &[String]) -> Result<String> {
    const NAME: &str = "bond0";
    let folder = Path::new(CLASS).join(NAME);
    if !folder.exists() {
        fs::write(format!("{CLASS}/bonding_masters"), format!("+{NAME}"))
            .context("making bond0: is the module bonding loaded?")?;
    }
    let set = |file: &str, value: &str| {
        let path = folder.join("bonding").join(file);
        fs::write(&path, value).with_context(|| format!("writing {value} to {}", path.display()))
    };
    set("mode", mode)?;
    set("miimon", "100")?;
    for member in members {
        ip(&["link", "set", member, "down"])?;
        set("slaves", &format!("+{member}"))?;
    }
    ip(&["link", "set", NAME, "up"])?;
    Ok(NAME.to_owned())
}

/// The first of them with a carrier.
fn wait_for_any_link(names: &[String], end: Instant) -> Result<String> {
    loop {
        let up = |name: &&String| {
            fs::read_to_string(Path::new(CLASS).join(name).join("carrier"))
                .is_ok_and(|text| text.trim() == "1")
        };
        if let Some(name) = names.iter().find(up) {
            return Ok(name.clone());
        }
        ensure!(
            Instant::now() < end,
            "no link on {} within link_deadline_s",
            names.join(", ")
        );
        sleep(Duration::from_millis(50));
    }
}

fn bring_up_ipv4(ipv4: &Ipv4, interface: &str, deadline: Duration) -> Result<()> {
    match ipv4 {
        Ipv4::None => Ok(()),
        Ipv4::Static {
            address,
            prefix,
            gateway,
        } => {
            ip(&[
                "addr",
                "replace",
                &format!("{address}/{prefix}"),
                "dev",
                interface,
            ])
            .or_else(|_| {
                ip(&[
                    "addr",
                    "add",
                    &format!("{address}/{prefix}"),
                    "dev",
                    interface,
                ])
            })?;
            match gateway {
                Some(gateway) => ip(&["route", "replace", "default", "via", &gateway.to_string()]),
                None => Ok(()),
            }
        }
        Ipv4::Dhcp => {
            // Stays in the background and renews the lease: a dump may take longer than one.
            let seconds = deadline.as_secs().to_string();
            let status = Command::new("/bin/busybox")
                .args(["udhcpc", "-n", "-t", &seconds, "-T", "1", "-A", "1"])
                .args(["-i", interface, "-s", UDHCPC_SCRIPT])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .context("starting udhcpc")?;
            ensure!(
                status.success(),
                "no DHCP lease on {interface} within address_deadline_s ({seconds} s)"
            );
            Ok(())
        }
    }
}

fn bring_up_ipv6(ipv6: &Ipv6, interface: &str, deadline: Duration) -> Result<()> {
    match ipv6 {
        Ipv6::None => return Ok(()),
        Ipv6::Auto => {
            for (key, value) in [("accept_ra", "2"), ("autoconf", "1")] {
                let path = format!("/proc/sys/net/ipv6/conf/{interface}/{key}");
                fs::write(&path, value).with_context(|| format!("writing {path}"))?;
            }
        }
        Ipv6::Static {
            address,
            prefix,
            gateway,
        } => {
            ip(&[
                "-6",
                "addr",
                "add",
                &format!("{address}/{prefix}"),
                "dev",
                interface,
            ])?;
            if let Some(gateway) = gateway {
                let gateway = gateway.to_string();
                ip(&[
                    "-6", "route", "add", "default", "via", &gateway, "dev", interface,
                ])?;
            }
        }
    }
    let end = Instant::now() + deadline;
    while !has_global_ipv6(&fs::read_to_string("/proc/net/if_inet6")?, interface) {
        ensure!(
            Instant::now() < end,
            "no IPv6 address on {interface} within address_deadline_s"
        );
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A line of if_inet6: address, index, prefix length, scope (00 global, 40 site), flags (0x40 is tentative), name.
fn has_global_ipv6(table: &str, interface: &str) -> bool {
    table.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        matches!(words.as_slice(), [_, _, _, "00" | "40", flags, name]
            if *name == interface && u8::from_str_radix(flags, 16).is_ok_and(|f| f & 0x40 == 0))
    })
}

fn ip(words: &[&str]) -> Result<()> {
    let output = Command::new("/bin/busybox")
        .arg("ip")
        .args(words)
        .output()
        .context("starting busybox ip")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "ip {}: {}",
        words.join(" "),
        said.trim()
    );
    Ok(())
}

/// Called by udhcpc under [`UDHCPC_SCRIPT`]: argument and environment as in udhcpc's own documentation.
pub fn as_udhcpc_script() -> Option<ExitCode> {
    let mut arguments = std::env::args();
    let name = arguments.next()?;
    if name != UDHCPC_SCRIPT {
        return None;
    }
    let what = arguments.next().unwrap_or_default();
    Some(match lease(&what) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kdumpkit init: udhcpc {what}: {error:#}");
            ExitCode::FAILURE
        }
    })
}

fn lease(what: &str) -> Result<()> {
    let variable = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    let interface = variable("interface").context("no interface")?;
    match what {
        "deconfig" => ip(&["link", "set", &interface, "up"]),
        "bound" | "renew" => {
            let address = variable("ip").context("no address")?;
            let prefix = variable("mask").unwrap_or_else(|| "24".to_owned());
            if what == "bound" {
                ip(&["addr", "flush", "dev", &interface])?;
                ip(&[
                    "addr",
                    "add",
                    &format!("{address}/{prefix}"),
                    "dev",
                    &interface,
                ])?;
            }
            let routers = variable("router").unwrap_or_default();
            match routers.split_whitespace().next() {
                Some(router) => ip(&[
                    "route", "replace", "default", "via", router, "dev", &interface,
                ]),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::has_global_ipv6;

    #[test]
    fn has_global_ipv6_when_tentative_or_link_local_is_false() {
        let line = |scope, flags| {
            format!("fec0000000000000505400fffe123456 02 40 {scope} {flags}     eth0\n")
        };
        assert!(has_global_ipv6(&line("00", "00"), "eth0"));
        assert!(has_global_ipv6(&line("40", "00"), "eth0"));
        assert!(!has_global_ipv6(&line("00", "40"), "eth0"));
        assert!(!has_global_ipv6(&line("20", "80"), "eth0"));
        assert!(!has_global_ipv6(&line("00", "00"), "eth1"));
    }
}
