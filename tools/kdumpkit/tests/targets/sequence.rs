// SPDX-License-Identifier: GPL-2.0-or-later
//! Whose turn it is, how often, and what comes after the last one.

use super::guest::{Bench, Run};
use kdumpkit::config::Action;
use kdumpkit::event::Event;

const EXT4: [&str; 7] = ["mke2fs", "-q", "-F", "-t", "ext4", "-L", "crash"];
/// Fails at once: what is on the device is a file system.
const REFUSED: &str = "[[target]]\ntype = \"raw\"\ndevice = \"/dev/vda\"\n";

fn with_disks(name: &str) -> Bench {
    let mut bench = Bench::new(name);
    bench.disk(1024, &EXT4);
    bench.disk(1024, &[]);
    bench
}

fn action(run: &Run) -> Option<Action> {
    run.events.iter().find_map(|event| match event {
        Event::Action { action } => Some(*action),
        _ => None,
    })
}

/// A target that is tried three times, the log on a disk, a further copy only because of that, one whose turn never comes;
/// then the machine halts.
#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn retries_then_the_log_then_a_copy_then_halt() {
    let mut bench = with_disks("sequence");
    let text = format!(
        "final_action = \"halt\"\n\
         {REFUSED}retries = 2\nwhen = \"saved\"\n\
         {REFUSED}retries = 2\n\
         [[target]]\ntype = \"filesystem\"\ndevice = \"/dev/vda\"\nsave = \"dmesg\"\n\
         [[target]]\ntype = \"raw\"\ndevice = \"/dev/vdb\"\nwhen = \"saved\"\n\
         {REFUSED}when = \"failed\"\n"
    );
    let config = bench.config_with_end(&text, &["virtio_blk", "ext4"]);
    bench.off_at = Some("System halted");
    let run = bench.crash(&config).ended();
    bench.off_at = None;
    assert!(run.console.contains("System halted"), "{}", run.console);
    assert_eq!(action(&run), Some(Action::Halt));
    let tries: Vec<u32> = run
        .events
        .iter()
        .filter_map(|event| match event {
            Event::TargetFailed { attempt, .. } => Some(*attempt),
            _ => None,
        })
        .collect();
    assert_eq!(tries, [1, 2, 3], "{:?}", run.events);
    let saved = run.dumps();
    assert!(
        matches!(saved.as_slice(), [log, "/dev/vdb"] if log.ends_with("vmcore-dmesg.txt")),
        "{saved:?}"
    );
    bench.judge(&bench.folder.join(&bench.disks[1]));
    let (dump, files) = bench.fetch("ext4");
    assert!(dump.is_none(), "only the log was asked for: {files}");
    assert!(files.contains("vmcore-dmesg.txt"), "{files}");
    bench.done();
}

/// A target's own failure action comes before the targets after it.
#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn failure_action_shell_gives_a_shell_at_once() {
    let mut bench = with_disks("shell");
    let text = format!(
        "{REFUSED}failure_action = \"shell\"\n\
         [[target]]\ntype = \"raw\"\ndevice = \"/dev/vdb\"\n"
    );
    let config = bench.config(&text, &["virtio_blk", "ext4"]);
    bench.off_at = Some("kdumpkit# ");
    let run = bench.crash(&config).ended();
    assert!(run.console.contains("kdumpkit# "), "{}", run.console);
    assert_eq!(action(&run), Some(Action::Shell));
    assert_eq!(run.dumps().len(), 0, "{:?}", run.events);
    bench.done();
}
