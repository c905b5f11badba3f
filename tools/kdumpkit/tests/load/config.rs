// SPDX-License-Identifier: GPL-2.0-or-later
//! `kdumpkit load` with nothing but the configuration: it builds the initramfs, again when something in it has changed, and a
//! crash is captured by what it built.

use crate::guest::{Bench, line, write_script_initramfs};
use anyhow::{Context, Result, ensure};
use kdumpkit::facts::Facts;
use kdumpkit::vm::End;
use std::fs::{self, File};

/// No list of modules: they come from sysfs of the machine that loads.
const CONFIG: &str = "
    final_action = \"poweroff\"
    [[target]]
    type = \"filesystem\"
    device = \"LABEL=crash\"
    [initramfs]
    busybox = \"/bin/busybox\"
";

/// Each load says why it built, or nothing.
const SCRIPT: &str = r#"
load() { name=$1; shift; said=$(kdumpkit load "$@" 2>&1) || echo "$name failed: $said"; echo "$name: $(echo $said)"; }
b modprobe virtio_blk && b modprobe ext4 || exit 1
load first
load again
b modprobe mkdfinfo || exit 1
load mkdfinfo
echo >>/etc/kdumpkit/kdumpkit.toml
load changed
load unchanged
kdumpkit status
[ $? != 4 ] && echo c >/proc/sysrq-trigger
"#;

const BUILT: &str = "built /var/lib/kdumpkit/";

#[test]
#[ignore = "needs QEMU and the build root"]
fn load_when_there_is_only_a_configuration_builds_what_captures() -> Result<()> {
    let bench = Bench::new("config")?;
    let path = |name: &str| bench.folder.join(name);
    fs::write(path("kdumpkit.toml"), CONFIG)?;
    File::create(path("crash.img"))?.set_len(512 << 20)?;
    bench.run_tool(
        "mke2fs",
        &["-q", "-F", "-t", "ext4", "-L", "crash", "crash.img"],
    )?;
    let files = vec![
        bench.boot_image(),
        (
            "usr/lib/kdumpkit/kdumpkit-init".into(),
            env!("CARGO_BIN_EXE_kdumpkit-init").into(),
        ),
        ("etc/kdumpkit/kdumpkit.toml".into(), path("kdumpkit.toml")),
    ];
    let modules = ["virtio_blk", "ext4", "mkdfinfo", "reset_devices"];
    // The script's output goes to the console: it ends in the crash.
    let script = format!("exec >/dev/console\n{SCRIPT}");
    write_script_initramfs(&bench, &path("guest.initramfs"), &modules, &script, files)?;
    let mut machine = bench.lab.machine(path("guest.initramfs"), &bench.folder);
    machine.cmdline = "crashkernel=192M sysrq_always_enabled".into();
    machine.disks = vec!["crash.img".into()];
    let heard = machine.listen()?;
    let console = String::from_utf8_lossy(&fs::read(path("console.log"))?).replace('\r', "");
    check_loads(&console).with_context(|| format!("see {}", bench.folder.display()))?;
    ensure!(heard.end == End::Off, "{heard:?}");
    let (dump, filter) = heard
        .dump()
        .with_context(|| format!("no dump: {heard:?}"))?;
    let layout = filter.and_then(|said| said["mkdfinfo"].as_str());
    ensure!(layout.is_some(), "the filter had no mkdfinfo: {filter:?}");
    bench.run_tool(
        "debugfs",
        &["crash.img", "-R", &format!("dump {dump} dump")],
    )?;
    let facts = Facts::read(&path("dump"))?;
    ensure!(!facts.incomplete && facts.dmesg.contains("sysrq: Trigger a crash"));
    bench.done()
}

fn check_loads(console: &str) -> Result<()> {
    let builds = [
        ("first:", Some("there was none")),
        ("again:", None),
        ("mkdfinfo:", Some("it had no mkdfinfo")),
        ("changed:", Some("/etc/kdumpkit/kdumpkit.toml changed")),
        ("unchanged:", None),
    ];
    for (name, why) in builds {
        let said = line(console, name)?;
        ensure!(said.contains("loaded /boot/vmlinuz-"), "{name} {said}");
        ensure!(said.contains(BUILT) == why.is_some(), "{name} {said}");
        ensure!(
            said.contains(why.unwrap_or("")),
            "{name} {said}, not {why:?}"
        );
    }
    Ok(())
}
