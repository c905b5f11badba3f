// SPDX-License-Identifier: GPL-2.0-or-later
//! What is in the capture initramfs: the same bytes twice, nothing dynamic, nothing that is not asked for.

use super::guest::Bench;
use kdumpkit::config::Compression;
use kdumpkit::initramfs;

const DISK: &str = "[[target]]\ntype = \"filesystem\"\ndevice = \"/dev/vda\"\n";

#[test]
#[ignore = "needs the build root, a prepared kernel and built modules"]
fn built_twice_is_the_same_and_has_only_what_is_asked_for() {
    let bench = Bench::new("initramfs");
    let mut config = bench.config(DISK, &["virtio_blk", "nvme", "ext4"]);
    let sources = bench.sources();
    let first = initramfs::build(&config, &sources).expect("the initramfs");
    let second = initramfs::build(&config, &sources).expect("the initramfs");
    assert!(first.image == second.image, "two builds differ");
    let allowed = |path: &str| {
        ["init", "usr/bin/busybox"].contains(&path)
            || path.starts_with("etc/kdumpkit/")
            || path.starts_with(&format!("usr/lib/modules/{}/", sources.release))
    };
    for part in &first.parts {
        assert!(allowed(&part.path), "{} is in it", part.path);
        assert!(!part.why.is_empty(), "nothing wants {}", part.path);
    }
    // Packed or not, it is the same archive, but for the configuration, which says how it is packed. How small the installed
    // one is, tests/packaging looks at.
    config.initramfs.compression = Compression::Zstd;
    let packed = initramfs::build(&config, &sources).expect("the initramfs");
    assert_eq!(packed.parts.len(), first.parts.len());
    for (packed, first) in packed.parts.iter().zip(&first.parts) {
        assert!(
            packed == first || packed.why == "configuration",
            "{} is another one when packed",
            packed.path
        );
    }
    assert!(packed.image.len() < first.image.len());
    bench.done();
}

#[test]
#[ignore = "needs the build root, a prepared kernel and built modules"]
fn dynamic_busybox_is_refused() {
    let bench = Bench::new("dynamic");
    let mut config = bench.config(DISK, &["virtio_blk", "ext4"]);
    config.initramfs.busybox = "/bin/sh".into();
    let error = initramfs::build(&config, &bench.sources()).expect_err("a dynamic program");
    let error = format!("{error:#}");
    assert!(
        error.contains("usr/bin/busybox") && error.contains("dynamically"),
        "{error}"
    );
    bench.done();
}
