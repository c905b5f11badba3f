// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks the machine and installs the systemd unit; touches no file that it has not written itself.

use super::{MasterConfig, crash, systemctl, watchdog};
use crate::atomic;
use anyhow::{Context, Result, bail, ensure};
use rustix::system::uname;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

/// The unit's name.
pub(super) const UNIT: &str = "kdumpkit-master.service";
const UNIT_PATH: &str = "/etc/systemd/system/kdumpkit-master.service";
/// The first line of what setup writes, and of nothing else.
const MARK: &str = "# Written by kdumpkit master setup.";

/// Something that is not as it must be, and what to do.
type Finding = (&'static str, Result<String>);

pub(super) fn install(config: &MasterConfig, path: &Path) -> Result<ExitCode> {
    let mut bad = 0;
    for (what, found) in check(config) {
        match found {
            Ok(words) => println!("ok   {what:<16} {words}"),
            Err(error) => {
                bad += 1;
                println!("BAD  {what:<16} {error:#}");
            }
        }
    }
    ensure!(
        bad == 0,
        "{bad} of the checks failed: nothing was installed"
    );
    if Path::new(UNIT_PATH).exists() && !is_ours() {
        bail!("{UNIT_PATH} is there and was not written by kdumpkit: move it away");
    }
    fs::create_dir_all(&config.state)?;
    atomic::write(Path::new(UNIT_PATH), unit(path)?.as_bytes())?;
    systemctl(&["daemon-reload"])?;
    println!("installed {UNIT_PATH}; `master run` begins");
    Ok(ExitCode::SUCCESS)
}

pub(super) fn remove() -> Result<ExitCode> {
    must_be_installed()?;
    systemctl(&["disable", UNIT])?;
    fs::remove_file(UNIT_PATH)?;
    systemctl(&["daemon-reload"])?;
    println!("removed {UNIT_PATH}; configuration, state and dumps stay");
    Ok(ExitCode::SUCCESS)
}

pub(super) fn must_be_installed() -> Result<()> {
    ensure!(
        is_ours(),
        "{UNIT_PATH} is not there or not ours: run scripts/setup first"
    );
    Ok(())
}

fn is_ours() -> bool {
    fs::read_to_string(UNIT_PATH).is_ok_and(|text| text.starts_with(MARK))
}

fn unit(config: &Path) -> Result<String> {
    let program = std::env::current_exe().context("finding this program's own file")?;
    let config = config
        .canonicalize()
        .with_context(|| format!("finding {}", config.display()))?;
    Ok(format!(
        "{MARK}\n\
         [Unit]\n\
         Description=kdumpkit crash matrix: crashes this machine\n\
         After=local-fs.target systemd-modules-load.service systemd-sysctl.service\n\
         RequiresMountsFor=/var\n\
         \n\
         [Service]\n\
         Type=exec\n\
         ExecStart={} master --config {} resume\n\
         StandardOutput=journal\n\
         StandardError=journal\n\
         # The crash ends everything anyway; a restart would run the scenario twice.\n\
         Restart=no\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        program.display(),
        config.display()
    ))
}

fn check(config: &MasterConfig) -> Vec<Finding> {
    vec![
        ("root", root()),
        ("systemd", systemd()),
        ("crashkernel", crashkernel()),
        ("lkdtm", module("lkdtm")),
        ("watchdog", watchdog_there(config)),
        ("dump folder", dump_folder(config)),
        ("scenarios", scenarios(config)),
        ("capture kernel", capture(config)),
    ]
}

fn root() -> Result<String> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "not root: modules, units and crashes need it"
    );
    Ok("yes".to_owned())
}

fn systemd() -> Result<String> {
    ensure!(
        Path::new("/run/systemd/system").exists(),
        "this machine was not booted with systemd"
    );
    Ok("running".to_owned())
}

fn crashkernel() -> Result<String> {
    let text = fs::read_to_string("/sys/kernel/kexec_crash_size").unwrap_or_default();
    let mib = text.trim().parse::<u64>().unwrap_or(0) >> 20;
    ensure!(mib > 0, "no memory is reserved: boot with crashkernel=256M");
    Ok(format!("{mib} MiB reserved"))
}

fn module(name: &str) -> Result<String> {
    let output = Command::new("modprobe")
        .args(["--dry-run", "--show-depends", name])
        .output()?;
    ensure!(
        output.status.success(),
        "modprobe does not find {name} for {}: make modules_install",
        uname().release().to_string_lossy()
    );
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .last()
        .unwrap_or("")
        .trim()
        .to_owned())
}

fn watchdog_there(config: &MasterConfig) -> Result<String> {
    if config.watchdog.is_empty() {
        return Ok("none: a hang will wait for a person".to_owned());
    }
    watchdog::load_module(config)?;
    ensure!(
        Path::new(&config.watchdog).exists(),
        "{} is not there: give watchdog_module",
        config.watchdog
    );
    Ok(format!("{}, {} s", config.watchdog, config.watchdog_s))
}

fn dump_folder(config: &MasterConfig) -> Result<String> {
    fs::create_dir_all(&config.dumps)?;
    let space = rustix::fs::statvfs(&config.dumps)?;
    Ok(format!(
        "{}, {} MiB free",
        config.dumps.display(),
        space.f_bavail.saturating_mul(space.f_frsize) >> 20
    ))
}

/// Loads the capture kernel the way it will be done at every boot, and lets `kdumpkit status` judge it.
fn capture(config: &MasterConfig) -> Result<String> {
    crash::load_capture_kernel(config)?;
    let status = Command::new(std::env::current_exe()?)
        .arg("status")
        .output()?;
    let words = String::from_utf8_lossy(&status.stdout);
    // 3: captured, with something to be mended.
    ensure!(
        matches!(status.status.code(), Some(0 | 3)),
        "kdumpkit status:\n{}",
        words.trim()
    );
    Ok(format!("{} loads it, kdumpkit status agrees", config.load))
}

fn scenarios(config: &MasterConfig) -> Result<String> {
    let all = config.scenarios(&uname().release().to_string_lossy())?;
    let run = all.iter().filter(|s| s.skip.is_none()).count();
    ensure!(run > 0, "none fits suites {:?}", config.suites);
    Ok(format!(
        "{run} of suites {}, {} skipped",
        config.suites.join(" "),
        all.len() - run
    ))
}
