// SPDX-License-Identifier: GPL-2.0-or-later
//! The capture kernel's command line: the running kernel's, without what would hurt, and with what capture needs.
//!
//! Keeping the rest is the point: `console=`, `pci=`, `iommu=`, `acpi=` are there because this machine needs them.

/// Parameters of the running system that make no sense in the capture kernel, or cost its memory. A name that ends in `.`
/// or `_` stands for all that begin with it.
const DROPPED: [&str; 52] = [
    // where the system is
    "BOOT_IMAGE",
    "root",
    "rootfstype",
    "rootflags",
    "rootdelay",
    "rootwait",
    "ro",
    "rw",
    "init",
    "initrd",
    "resume",
    "resume_offset",
    "nfsroot",
    "cryptdevice",
    "rd.",
    "systemd.",
    "luks.",
    "ostree",
    "dmraid",
    "boot",
    "splash",
    "single",
    "emergency",
    "rescue",
    // reservations and tuning for many CPUs and much memory
    "crashkernel",
    "mem",
    "memmap",
    "hugepages",
    "hugepagesz",
    "default_hugepagesz",
    "hugetlb_cma",
    "cma",
    "movablecore",
    "kernelcore",
    "isolcpus",
    "nohz_full",
    "rcu_nocbs",
    "irqaffinity",
    "nr_cpus",
    "maxcpus",
    "possible_cpus",
    "log_buf_len",
    "slub_debug",
    "page_owner",
    "page_poison",
    "init_on_alloc",
    "init_on_free",
    "kasan_",
    "zswap.",
    // what to do on a crash: the capture kernel has its own
    "panic",
    "oops",
    "crash_kexec_post_notifiers",
];

/// What the capture kernel gets by default. One CPU is enough for a dump; `irqpoll`: the device that interrupted last may
/// have no driver any more; `panic=1`: a capture kernel that fails must not hang for ever; `nokaslr`: it would move itself,
/// with crashkernel=SIZE,high into the little memory below 4 GiB that is there for DMA; the rest saves memory.
pub const ADDED: &str = "quiet panic=1 nokaslr nr_cpus=1 irqpoll reset_devices cgroup_disable=memory transparent_hugepage=never \
                         numa=off acpi_no_memhotplug";

/// The capture kernel's command line.
///
/// Drops from `running` what [`DROPPED`] and `remove` name, then appends [`ADDED`] and `append`. Whatever follows a `--`
/// is for the running system's init and is dropped.
#[must_use]
pub fn capture(running: &str, remove: &[String], append: &str) -> String {
    let mut words: Vec<&str> = words(running)
        .into_iter()
        .take_while(|word| *word != "--")
        .filter(|word| !is_dropped(word, remove))
        .collect();
    let replaced = |word: &&str| !ADDED.split(' ').any(|added| name(added) == name(word));
    words.retain(replaced);
    words.extend(ADDED.split(' '));
    words.extend(append.split_whitespace());
    words.join(" ")
}

/// Parameters, separated by white space outside double quotes (lib/cmdline.c, next_arg).
fn words(text: &str) -> Vec<&str> {
    let mut quoted = false;
    text.split(|c: char| {
        quoted ^= c == '"';
        c.is_whitespace() && !quoted
    })
    .filter(|word| !word.is_empty())
    .collect()
}

/// The kernel takes `-` and `_` in names for the same.
fn name(word: &str) -> String {
    let name = word.split('=').next().unwrap_or(word);
    name.trim_matches('"').replace('-', "_")
}

fn is_dropped(word: &str, remove: &[String]) -> bool {
    let name = name(word);
    let matches = |drop: &str| {
        let drop = drop.replace('-', "_");
        name == drop || (drop.ends_with(['.', '_']) && name.starts_with(&drop))
    };
    DROPPED.into_iter().any(matches) || remove.iter().any(|drop| matches(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capture_when_machine_needs_parameters_keeps_them() {
        let running = "BOOT_IMAGE=/vmlinuz root=UUID=1 ro console=ttyS0,115200 crashkernel=256M pci=noaer systemd.unit=x panic=30 \
                       nr-cpus=8 dyndbg=\"file a.c +p; module b +p\" numa=on -- five";
        let line = capture(running, &[], "nokaslr");
        let kept = "console=ttyS0,115200 pci=noaer dyndbg=\"file a.c +p; module b +p\"";
        assert_eq!(line, format!("{kept} {ADDED} nokaslr"));
    }

    #[test]
    fn capture_when_asked_to_remove_takes_it_away() {
        let line = capture(
            "console=tty0 pci=noaer foo.bar=1",
            &["pci".into(), "foo.".into()],
            "",
        );
        assert_eq!(line, format!("console=tty0 {ADDED}"));
    }

    #[test]
    fn capture_when_quote_never_ends_is_one_word() {
        assert_eq!(capture("a=\"b c", &[], ""), format!("a=\"b c {ADDED}"));
    }
}
