// SPDX-License-Identifier: GPL-2.0-or-later
//! `[[target]]`: one place for a dump.

use super::Action;
use super::error::Problem;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::ops::Range;
use std::path::PathBuf;
use toml::Spanned;

/// One place for a dump, with how hard to try.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// What kind of place, and where.
    pub kind: Kind,
    /// What goes there.
    pub save: Save,
    /// Whether its turn comes.
    pub when: When,
    /// One try may take this long, in seconds.
    pub deadline_s: u64,
    /// Further tries after a failed one.
    pub retries: u32,
    /// What follows when the last try has failed.
    pub failure_action: Action,
}

/// What kind of place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A file system on a block device.
    Filesystem(FileSystem),
    /// A block device without a file system.
    Raw(Raw),
    /// A folder that an NFS server exports.
    Nfs(Nfs),
    /// A folder on a machine with an ssh server.
    Ssh(Ssh),
}

/// A file system on a block device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSystem {
    /// `UUID=…`, `LABEL=…`, `PARTUUID=…` or a path below /dev.
    pub device: String,
    /// `ext4`, `xfs` or `btrfs`; None: what the superblock says.
    pub fstype: Option<String>,
    /// As mount -o has them.
    pub options: String,
    /// Folder from the root of the file system; dumps are folders below it.
    pub path: String,
}

/// A block device without a file system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    /// `PARTUUID=…` or a path below /dev. What is on it is lost.
    pub device: String,
}

/// A folder that an NFS server exports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nfs {
    /// The server; a name is looked up when the initramfs is built.
    pub server: String,
    /// The exported path.
    pub export: String,
    /// More mount options (`vers=4.2`, `port=2049`).
    pub options: String,
    /// Folder below the export.
    pub path: String,
}

/// A folder on a machine with an ssh server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ssh {
    /// The server; a name is looked up when the initramfs is built.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// Who to log in as.
    pub user: String,
    /// Its public host keys, as lines of known_hosts without the host (`ssh-ed25519 AAAA…`); any other key is refused.
    pub host_keys: Vec<String>,
    /// The private key to log in with, an OpenSSH file without a passphrase, on the machine that builds.
    pub identity: PathBuf,
    /// Folder on the server, from the user's home folder unless absolute.
    pub path: String,
}

/// What goes to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Save {
    /// The kernel log, then the dump.
    #[default]
    Dump,
    /// The kernel log alone.
    Dmesg,
}

/// Whether a target's turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// While no target before it has a dump.
    #[default]
    Failed,
    /// Only when one before it has a dump: a further copy.
    Saved,
    /// Always.
    Always,
}

impl Kind {
    /// Its name in the file.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Filesystem(_) => "filesystem",
            Kind::Raw(_) => "raw",
            Kind::Nfs(_) => "nfs",
            Kind::Ssh(_) => "ssh",
        }
    }

    /// Whether it is reached through the network.
    #[must_use]
    pub fn needs_network(&self) -> bool {
        matches!(self, Kind::Nfs(_) | Kind::Ssh(_))
    }

    /// For messages: type and place.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Kind::Filesystem(t) => format!("filesystem {}:{}", t.device, t.path),
            Kind::Raw(t) => format!("raw {}", t.device),
            Kind::Nfs(t) => format!("nfs {}:{}", t.server, t.export),
            Kind::Ssh(t) => format!("ssh {}@{}:{}", t.user, t.server, t.path),
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KindName {
    Filesystem,
    Raw,
    Nfs,
    Ssh,
}

type Key<T> = Option<Spanned<T>>;

/// The table as it is written: all keys of all types.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetKeys {
    r#type: KindName,
    #[serde(default)]
    save: Save,
    #[serde(default)]
    when: When,
    deadline_s: Key<u64>,
    retries: Key<u32>,
    failure_action: Option<Action>,
    device: Key<String>,
    fstype: Key<String>,
    options: Key<String>,
    path: Key<String>,
    server: Key<String>,
    export: Key<String>,
    port: Key<u16>,
    user: Key<String>,
    host_keys: Key<Vec<String>>,
    identity: Key<PathBuf>,
}

/// File systems that a target may have.
pub(crate) const FILESYSTEMS: [&str; 3] = ["ext4", "xfs", "btrfs"];

impl TargetKeys {
    /// `span` is the table's.
    pub fn check(mut self, span: Range<usize>) -> Result<(Range<usize>, Target), Problem> {
        let deadline_s = bounded(self.deadline_s.take(), "deadline_s", 1, 86_400, 600)?;
        let retries = bounded(self.retries.take(), "retries", 0, 100, 0)?;
        let kind = match self.r#type {
            KindName::Filesystem => Kind::Filesystem(FileSystem {
                device: device(
                    self.device.take(),
                    &["UUID=", "LABEL=", "PARTUUID=", "/dev/"],
                    &span,
                )?,
                fstype: self.fstype.take().map(fstype).transpose()?,
                options: optional(self.options.take(), ""),
                path: folder(self.path.take())?,
            }),
            KindName::Raw => Kind::Raw(Raw {
                device: device(self.device.take(), &["PARTUUID=", "/dev/"], &span)?,
            }),
            KindName::Nfs => Kind::Nfs(Nfs {
                server: server(self.server.take(), &span)?,
                export: absolute(required(self.export.take(), "export", &span)?)?,
                options: optional(self.options.take(), ""),
                path: folder(self.path.take())?,
            }),
            KindName::Ssh => Kind::Ssh(Ssh {
                server: server(self.server.take(), &span)?,
                port: bounded(self.port.take(), "port", 1, u16::MAX, 22)?,
                user: optional(self.user.take(), "root"),
                host_keys: host_keys(required(self.host_keys.take(), "host_keys", &span)?)?,
                identity: required(self.identity.take(), "identity", &span)?.into_inner(),
                path: optional(self.path.take(), "var/crash"),
            }),
        };
        self.nothing_left(&kind)?;
        let target = Target {
            kind,
            save: self.save,
            when: self.when,
            deadline_s,
            retries,
            failure_action: self.failure_action.unwrap_or(Action::Next),
        };
        Ok((span, target))
    }

    /// What a type does not use is a mistake of whoever wrote it.
    fn nothing_left(&self, kind: &Kind) -> Result<(), Problem> {
        let spans = [
            ("device", self.device.as_ref().map(Spanned::span)),
            ("fstype", self.fstype.as_ref().map(Spanned::span)),
            ("options", self.options.as_ref().map(Spanned::span)),
            ("path", self.path.as_ref().map(Spanned::span)),
            ("server", self.server.as_ref().map(Spanned::span)),
            ("export", self.export.as_ref().map(Spanned::span)),
            ("port", self.port.as_ref().map(Spanned::span)),
            ("user", self.user.as_ref().map(Spanned::span)),
            ("host_keys", self.host_keys.as_ref().map(Spanned::span)),
            ("identity", self.identity.as_ref().map(Spanned::span)),
        ];
        let valid = match kind {
            Kind::Filesystem(_) => "device, fstype, options, path",
            Kind::Raw(_) => "device",
            Kind::Nfs(_) => "server, export, options, path",
            Kind::Ssh(_) => "server, port, user, host_keys, identity, path",
        };
        for (key, span) in spans {
            if let Some(span) = span {
                return Err(Problem::new(
                    span,
                    format!(
                        "{key} has no meaning for type = \"{}\"; its keys are {valid}, \
                         and every type has save, when, deadline_s, retries, failure_action",
                        kind.name()
                    ),
                ));
            }
        }
        Ok(())
    }
}

fn required<T>(value: Key<T>, key: &str, table: &Range<usize>) -> Result<Spanned<T>, Problem> {
    value.ok_or_else(|| {
        Problem::new(
            table.clone(),
            format!("{key} is missing from this [[target]]"),
        )
    })
}

fn optional(value: Key<String>, default: &str) -> String {
    value.map_or_else(|| default.to_owned(), Spanned::into_inner)
}

fn bounded<T: PartialOrd + Copy + std::fmt::Display>(
    value: Key<T>,
    key: &str,
    least: T,
    most: T,
    default: T,
) -> Result<T, Problem> {
    let Some(value) = value else {
        return Ok(default);
    };
    let n = *value.get_ref();
    if n < least || n > most {
        return Err(Problem::new(
            value.span(),
            format!("{key} = {n}: valid is {least} to {most}"),
        ));
    }
    Ok(n)
}

fn device(value: Key<String>, valid: &[&str], table: &Range<usize>) -> Result<String, Problem> {
    let value = required(value, "device", table)?;
    let known = valid
        .iter()
        .any(|start| value.get_ref().len() > start.len() && value.get_ref().starts_with(start));
    if !known {
        return Err(Problem::new(
            value.span(),
            format!(
                "device = \"{}\": valid is what begins with {}",
                value.get_ref(),
                valid.join(", ")
            ),
        ));
    }
    Ok(value.into_inner())
}

fn fstype(value: Spanned<String>) -> Result<String, Problem> {
    if FILESYSTEMS.contains(&value.get_ref().as_str()) {
        return Ok(value.into_inner());
    }
    Err(Problem::new(
        value.span(),
        format!(
            "fstype = \"{}\": valid are {}",
            value.get_ref(),
            FILESYSTEMS.join(", ")
        ),
    ))
}

/// Relative to the target's root, without a way out of it.
fn folder(value: Key<String>) -> Result<String, Problem> {
    let Some(value) = value else {
        return Ok("var/crash".to_owned());
    };
    let path = value.get_ref().trim_matches('/').to_owned();
    if path.split('/').any(|part| part == ".." || part == ".") {
        return Err(Problem::new(
            value.span(),
            format!(
                "path = \"{}\": valid is a folder without . and ..",
                value.get_ref()
            ),
        ));
    }
    Ok(path)
}

fn absolute(value: Spanned<String>) -> Result<String, Problem> {
    if value.get_ref().starts_with('/') {
        return Ok(value.into_inner());
    }
    Err(Problem::new(
        value.span(),
        format!(
            "export = \"{}\": valid is an absolute path",
            value.get_ref()
        ),
    ))
}

/// An address or a host name.
fn server(value: Key<String>, table: &Range<usize>) -> Result<String, Problem> {
    let value = required(value, "server", table)?;
    let name = value.get_ref();
    let is_name = !name.is_empty()
        && name.len() <= 253
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
        && !name.starts_with(['-', '.']);
    if name.parse::<IpAddr>().is_err() && !is_name {
        return Err(Problem::new(
            value.span(),
            format!(
                "server = \"{name}\": valid is an IPv4 address, an IPv6 address or a host name"
            ),
        ));
    }
    Ok(value.into_inner())
}

const HOST_KEY_ALGORITHMS: [&str; 4] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
];

fn host_keys(value: Spanned<Vec<String>>) -> Result<Vec<String>, Problem> {
    // No RSA: the ssh library's RSA code has no constant-time guarantee, and every server has one of these.
    let good = |key: &String| {
        let mut words = key.split_whitespace();
        let algorithm = words.next().unwrap_or_default();
        HOST_KEY_ALGORITHMS.contains(&algorithm) && words.next().is_some_and(|b| b.len() > 30)
    };
    let bad = value.get_ref().iter().find(|key| !good(key)).cloned();
    match bad {
        None if value.get_ref().is_empty() => Err(Problem::new(
            value.span(),
            "host_keys is empty: the server could be anybody; `ssh-keyscan SERVER` prints its keys",
        )),
        None => Ok(value.into_inner()),
        Some(key) => Err(Problem::new(
            value.span(),
            format!(
                "host key \"{key}\": valid is \"ALGORITHM BASE64\", as in `ssh-keyscan SERVER`"
            ),
        )),
    }
}
