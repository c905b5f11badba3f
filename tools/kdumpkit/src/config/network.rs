// SPDX-License-Identifier: GPL-2.0-or-later
//! `[network]`: how the capture kernel reaches its servers.

use super::error::Problem;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use toml::Spanned;

/// One way into the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Names or MAC addresses of the interfaces, one unless they are bonded; empty: the first with a link.
    pub interfaces: Vec<String>,
    /// Mode of a bond over the interfaces.
    pub bond: Option<String>,
    /// VLAN number on top.
    pub vlan: Option<u16>,
    /// IPv4 address.
    pub ipv4: Ipv4,
    /// IPv6 address.
    pub ipv6: Ipv6,
    /// How long the link may take to come up, in seconds.
    pub link_deadline_s: u64,
    /// How long an address may take, in seconds.
    pub address_deadline_s: u64,
}

/// How the interface gets an IPv4 address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ipv4 {
    /// Not at all.
    None,
    /// By DHCP.
    Dhcp,
    /// This one.
    Static {
        /// The address.
        address: Ipv4Addr,
        /// Length of its prefix.
        prefix: u8,
        /// The default route.
        gateway: Option<Ipv4Addr>,
    },
}

/// How the interface gets an IPv6 address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ipv6 {
    /// Not at all.
    None,
    /// By router advertisements.
    Auto,
    /// This one.
    Static {
        /// The address.
        address: Ipv6Addr,
        /// Length of its prefix.
        prefix: u8,
        /// The default route.
        gateway: Option<Ipv6Addr>,
    },
}

/// As it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NetworkKeys {
    #[serde(default)]
    interfaces: Vec<Spanned<String>>,
    bond: Option<Spanned<String>>,
    vlan: Option<Spanned<u16>>,
    ipv4: Option<Spanned<String>>,
    ipv4_gateway: Option<Spanned<Ipv4Addr>>,
    ipv6: Option<Spanned<String>>,
    ipv6_gateway: Option<Spanned<Ipv6Addr>>,
    #[serde(default = "thirty")]
    link_deadline_s: u64,
    #[serde(default = "thirty")]
    address_deadline_s: u64,
}

fn thirty() -> u64 {
    30
}

/// The kernel's modes (Documentation/networking/bonding.rst).
const BOND_MODES: [&str; 7] = [
    "balance-rr",
    "active-backup",
    "balance-xor",
    "broadcast",
    "802.3ad",
    "balance-tlb",
    "balance-alb",
];

impl NetworkKeys {
    pub fn check(self, span: Range<usize>) -> Result<Network, Problem> {
        let bond = self.bond.map(bond_mode).transpose()?;
        if bond.is_none() && self.interfaces.len() > 1 {
            return Err(Problem::new(
                self.interfaces[1].span(),
                "several interfaces need bond = \"MODE\" (active-backup, 802.3ad, …)",
            ));
        }
        if bond.is_some() && self.interfaces.is_empty() {
            return Err(Problem::new(span, "bond needs interfaces = [\"…\", \"…\"]"));
        }
        let interfaces = self
            .interfaces
            .into_iter()
            .map(interface)
            .collect::<Result<Vec<_>, _>>()?;
        let ipv4 = ipv4(self.ipv4, self.ipv4_gateway)?;
        let ipv6 = ipv6(self.ipv6, self.ipv6_gateway)?;
        if ipv4 == Ipv4::None && ipv6 == Ipv6::None {
            return Err(Problem::new(
                span,
                "[network] has neither ipv4 nor ipv6: no address, no network",
            ));
        }
        Ok(Network {
            interfaces,
            bond,
            vlan: self.vlan.map(vlan).transpose()?,
            ipv4,
            ipv6,
            link_deadline_s: self.link_deadline_s.clamp(1, 3600),
            address_deadline_s: self.address_deadline_s.clamp(1, 3600),
        })
    }
}

fn bond_mode(value: Spanned<String>) -> Result<String, Problem> {
    if BOND_MODES.contains(&value.get_ref().as_str()) {
        return Ok(value.into_inner());
    }
    Err(Problem::new(
        value.span(),
        format!(
            "bond = \"{}\": valid are {}",
            value.get_ref(),
            BOND_MODES.join(", ")
        ),
    ))
}

fn vlan(value: Spanned<u16>) -> Result<u16, Problem> {
    match *value.get_ref() {
        id @ 1..=4094 => Ok(id),
        id => Err(Problem::new(
            value.span(),
            format!("vlan = {id}: valid is 1 to 4094"),
        )),
    }
}

/// A name as the kernel allows it (IFNAMSIZ), or a MAC address.
fn interface(value: Spanned<String>) -> Result<String, Problem> {
    let name = value.get_ref();
    let is_mac = name.split(':').count() == 6
        && name
            .split(':')
            .all(|byte| byte.len() == 2 && u8::from_str_radix(byte, 16).is_ok());
    let is_name = (1..16).contains(&name.len())
        && !name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace());
    if is_mac || is_name {
        return Ok(value.into_inner());
    }
    Err(Problem::new(
        value.span(),
        format!("interface \"{name}\": valid is a name of at most 15 letters or a MAC address"),
    ))
}

fn with_prefix<A: std::str::FromStr>(text: &str, longest: u8) -> Option<(A, u8)> {
    let (address, prefix) = text.split_once('/')?;
    let prefix = prefix.parse().ok().filter(|p| *p <= longest)?;
    Some((address.parse().ok()?, prefix))
}

fn no_gateway<T: Into<IpAddr>>(gateway: Option<Spanned<T>>, key: &str) -> Result<(), Problem> {
    match gateway {
        None => Ok(()),
        Some(gateway) => Err(Problem::new(
            gateway.span(),
            format!("{key} needs a static address beside it"),
        )),
    }
}

fn ipv4(
    value: Option<Spanned<String>>,
    gateway: Option<Spanned<Ipv4Addr>>,
) -> Result<Ipv4, Problem> {
    let text = value.as_ref().map_or("none", |v| v.get_ref().as_str());
    match text {
        "none" => no_gateway(gateway, "ipv4_gateway").map(|()| Ipv4::None),
        "dhcp" => no_gateway(gateway, "ipv4_gateway").map(|()| Ipv4::Dhcp),
        _ => match with_prefix(text, 32) {
            Some((address, prefix)) => Ok(Ipv4::Static {
                address,
                prefix,
                gateway: gateway.map(Spanned::into_inner),
            }),
            None => Err(Problem::new(
                value.as_ref().map_or(0..0, Spanned::span),
                format!("ipv4 = \"{text}\": valid are none, dhcp, ADDRESS/PREFIX (192.0.2.7/24)"),
            )),
        },
    }
}

fn ipv6(
    value: Option<Spanned<String>>,
    gateway: Option<Spanned<Ipv6Addr>>,
) -> Result<Ipv6, Problem> {
    let text = value.as_ref().map_or("none", |v| v.get_ref().as_str());
    match text {
        "none" => no_gateway(gateway, "ipv6_gateway").map(|()| Ipv6::None),
        "auto" => no_gateway(gateway, "ipv6_gateway").map(|()| Ipv6::Auto),
        _ => match with_prefix(text, 128) {
            Some((address, prefix)) => Ok(Ipv6::Static {
                address,
                prefix,
                gateway: gateway.map(Spanned::into_inner),
            }),
            None => Err(Problem::new(
                value.as_ref().map_or(0..0, Spanned::span),
                format!("ipv6 = \"{text}\": valid are none, auto, ADDRESS/PREFIX (2001:db8::7/64)"),
            )),
        },
    }
}
