// SPDX-License-Identifier: GPL-2.0-or-later
//! The capture initramfs of a configuration.

use super::archive::{Archive, Part};
use super::modules::ModuleTree;
use super::{HOOK_FOLDER, IDENTITY_PATH, MKDFINFO_PATH, ROLE_PATH, needed};
use crate::config::{Compression, Config, Kind};
use crate::init::{CaptureRole, RESET_MODULE, Role};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// This machine's mkdfinfo file; the build form, because the dump it will lie beside has a note of its own.
pub const MKDFINFO_SYSFS: &str = "/sys/kernel/mkdfinfo/mkdfinfo";
/// Slow to pack, built once, read at every load.
const ZSTD_LEVEL: i32 = 19;

/// What an initramfs is made from, besides the configuration.
#[derive(Debug)]
pub struct Sources {
    /// Kernel release that it is for.
    pub release: String,
    /// The modules of that release.
    pub modules: ModuleTree,
    /// The static kdumpkit or kdumpkit-init binary; it becomes /init.
    pub kdumpkit: PathBuf,
    /// Layout and symbols of that kernel; None: the dump's own note must do.
    pub mkdfinfo: Option<Vec<u8>>,
    /// Name of the machine.
    pub hostname: String,
}

/// A finished initramfs.
#[derive(Debug)]
pub struct Built {
    /// What the kernel unpacks.
    pub image: Vec<u8>,
    /// Size before packing: this much memory it takes in the capture kernel.
    pub unpacked_bytes: u64,
    /// What is in it.
    pub parts: Vec<Part>,
    /// What would be good to have and is not there.
    pub warnings: Vec<String>,
}

impl Sources {
    /// This machine's own: `release` or the running kernel, [`super::init_program`], `/sys/kernel/mkdfinfo`.
    ///
    /// # Errors
    /// The modules of that release are not installed.
    pub fn of_this_machine(release: Option<&str>) -> Result<Self> {
        let uname = rustix::system::uname();
        let running = uname.release().to_string_lossy().into_owned();
        let release = release.unwrap_or(&running).to_owned();
        let mkdfinfo = match fs::read(MKDFINFO_SYSFS) {
            Ok(text) if release == running => Some(text),
            _ => None,
        };
        Ok(Self {
            modules: ModuleTree::open(&Path::new("/lib/modules").join(&release))?,
            release,
            kdumpkit: super::init_program()?,
            mkdfinfo,
            hostname: uname.nodename().to_string_lossy().into_owned(),
        })
    }
}

/// Builds the initramfs. The same input gives the same bytes.
///
/// # Errors
/// A module, program, key or hook is missing; a program is not static; a server's name cannot be looked up.
pub fn build(config: &Config, sources: &Sources) -> Result<Built> {
    let mut config = config.clone();
    look_up_servers(&mut config)?;
    let needed = needed::modules(&config, &sources.modules)?;
    let mut warnings = Vec::new();
    for name in needed::of_watchdogs(Path::new("/sys")) {
        if sources.modules.has(&name) && !needed.iter().any(|(n, _)| same_module(n, &name)) {
            warnings.push(format!(
                "{name} belongs to a watchdog of this machine and is not in the list of modules: a watchdog that runs resets the \
                 machine in mid-dump (modules = \"auto\", or {name} in extra_modules)"
            ));
        }
    }
    let mut archive = Archive::new()?;
    archive.program("init", &read(&sources.kdumpkit)?, "kdumpkit")?;
    let busybox = read(&config.initramfs.busybox).context(
        "busybox is needed for the shell: install busybox-static or set [initramfs] busybox",
    )?;
    archive.program("usr/bin/busybox", &busybox, "shell, ip, udhcpc")?;
    for applet in ["sh", "modprobe", "rmmod"] {
        archive.symlink(&format!("usr/bin/{applet}"), "busybox")?;
    }
    archive.symlink("usr/bin/kdumpkit", "/init")?;
    archive.symlink("usr/bin/kdumpkit-udhcpc", "/init")?;
    add_modules(&mut archive, &needed, sources, &mut warnings)?;
    match &sources.mkdfinfo {
        Some(text) => archive.file(MKDFINFO_PATH, 0o600, text, "layout for the filter")?,
        None => warnings.push(
            "no mkdfinfo file: load mkdfinfo.ko or give one with --mkdfinfo, else the filter has the dump's note alone"
                .to_owned(),
        ),
    }
    add_identity(&mut archive, &config)?;
    add_hooks(&mut archive, "pre", &config.hooks.pre)?;
    add_hooks(&mut archive, "post", &config.hooks.post)?;
    let names = needed.into_iter().map(|(name, _)| name).collect();
    let compression = config.initramfs.compression;
    let role = CaptureRole::new(config, names, sources.hostname.clone());
    let role = Role::Capture(Box::new(role));
    archive.file(
        ROLE_PATH,
        0o600,
        &serde_json::to_vec_pretty(&role)?,
        "configuration",
    )?;
    let (image, parts) = archive.finish()?;
    Ok(Built {
        unpacked_bytes: image.len() as u64,
        image: pack(image, compression)?,
        parts,
        warnings,
    })
}

/// Packs an archive; with a checksum, so that damage is noticed.
pub fn pack(archive: Vec<u8>, compression: Compression) -> Result<Vec<u8>> {
    match compression {
        Compression::None => Ok(archive),
        Compression::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
            encoder.include_checksum(true)?;
            // More than this the kernel does not unpack.
            encoder.window_log(23)?;
            std::io::Write::write_all(&mut encoder, &archive)?;
            let mut packed = encoder.finish()?;
            // What is appended must begin at a multiple of four.
            packed.resize(packed.len().next_multiple_of(4), 0);
            Ok(packed)
        }
    }
}

fn add_modules(
    archive: &mut Archive,
    needed: &[needed::Needed],
    sources: &Sources,
    warnings: &mut Vec<String>,
) -> Result<()> {
    let mut names: Vec<&str> = needed.iter().map(|(name, _)| name.as_str()).collect();
    if sources.modules.has(RESET_MODULE) {
        names.push(RESET_MODULE);
    } else {
        warnings.push(format!(
            "{RESET_MODULE}.ko is not installed for {}: devices may go on writing to memory while the dump is made",
            sources.release
        ));
    }
    let modules = sources.modules.resolve(names.iter().copied())?;
    let why = |name: &str| match needed.iter().find(|(n, _)| same_module(n, name)) {
        Some((_, why)) => Some(why.clone()),
        None => (name == RESET_MODULE).then(|| "quiets devices".to_owned()),
    };
    Ok(archive.modules(&sources.release, &modules, why)?)
}

/// The kernel makes no difference between - and _.
fn same_module(one: &str, other: &str) -> bool {
    one.replace('-', "_") == other.replace('-', "_")
}

/// One key for all ssh targets with the same file; /init has one place for it.
fn add_identity(archive: &mut Archive, config: &Config) -> Result<()> {
    let mut packed: Option<&Path> = None;
    for target in &config.targets {
        let Kind::Ssh(ssh) = &target.kind else {
            continue;
        };
        if packed.is_some_and(|p| p == ssh.identity) {
            continue;
        }
        ensure!(
            packed.is_none(),
            "ssh targets with different identity files: one key must do for all of them"
        );
        let key = read(&ssh.identity)
            .context("the private key of an ssh target (ssh-keygen -t ed25519 -N '' makes one)")?;
        russh::keys::decode_secret_key(&String::from_utf8_lossy(&key), None).with_context(|| {
            format!(
                "{} is no private key that works without a passphrase (valid: ed25519 and ecdsa)",
                ssh.identity.display()
            )
        })?;
        archive.file(IDENTITY_PATH, 0o600, &key, "login of the ssh targets")?;
        packed = Some(&ssh.identity);
    }
    Ok(())
}

fn add_hooks(archive: &mut Archive, stage: &str, hooks: &[PathBuf]) -> Result<()> {
    for (n, hook) in hooks.iter().enumerate() {
        let name = hook.file_name().unwrap_or_default().to_string_lossy();
        let path = format!("{HOOK_FOLDER}/{stage}/{n:02}-{name}");
        archive.program(&path, &read(hook).context("a hook")?, "hook")?;
    }
    Ok(())
}

/// Names become addresses now: the name server may be what has crashed.
fn look_up_servers(config: &mut Config) -> Result<()> {
    for target in &mut config.targets {
        let server = match &mut target.kind {
            Kind::Nfs(nfs) => &mut nfs.server,
            Kind::Ssh(ssh) => &mut ssh.server,
            _ => continue,
        };
        if server.parse::<IpAddr>().is_err() {
            *server = look_up(server)?.to_string();
        }
    }
    Ok(())
}

/// Through the system's getent: a static program cannot load the C library's resolver modules.
///
/// # Errors
/// Nobody knows the name.
pub fn look_up(name: &str) -> Result<IpAddr> {
    let output = Command::new("getent")
        .args(["ahosts", name])
        .output()
        .context("starting getent")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let address = text.split_whitespace().next();
    address.and_then(|a| a.parse().ok()).with_context(|| {
        format!("server \"{name}\" cannot be looked up: check the name, or give an address")
    })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}
