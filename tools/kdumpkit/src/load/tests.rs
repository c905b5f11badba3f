// SPDX-License-Identifier: GPL-2.0-or-later
//! bzImage headers, real and hostile, against regions.

use super::bzimage::{BzImageError, Protocol, SetupHeader};
use super::iomem::Region;
use super::relocatable::{check_cmdline, check_image, check_region};
use proptest::prelude::*;

const MIB: u64 = 1 << 20;

/// The header fields of Debian's 7.3.4 vmlinuz.
fn stock() -> Vec<u8> {
    let mut image = vec![0; 24 << 10];
    image[0x1f1] = 0x27;
    put(&mut image, 0x1fe, &0xaa55_u16.to_le_bytes());
    put(&mut image, 0x202, b"HdrS");
    put(&mut image, 0x206, &0x020f_u16.to_le_bytes());
    put(&mut image, 0x20e, &0x4300_u16.to_le_bytes());
    image[0x211] = 1;
    put(&mut image, 0x230, &0x20_0000_u32.to_le_bytes());
    image[0x234] = 1;
    image[0x235] = 0x15;
    put(&mut image, 0x236, &0x7f_u16.to_le_bytes());
    put(&mut image, 0x238, &2047_u32.to_le_bytes());
    put(&mut image, 0x258, &0x100_0000_u64.to_le_bytes());
    put(&mut image, 0x260, &0x3e4_e000_u32.to_le_bytes());
    put(
        &mut image,
        0x4500,
        b"7.3.4+deb13-amd64 (debian-kernel) #1 SMP\0",
    );
    image
}

fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

/// The stock header with `bytes` at `at`.
fn patched(at: usize, bytes: &[u8]) -> SetupHeader {
    let mut image = stock();
    put(&mut image, at, bytes);
    SetupHeader::parse(&image, 16 * MIB).expect("still a bzImage")
}

fn fields(header: &SetupHeader) -> Vec<String> {
    check_image(header, true)
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn region(start_mib: u64, size_mib: u64) -> Region {
    Region {
        start: start_mib * MIB,
        last: (start_mib + size_mib) * MIB - 1,
    }
}

#[test]
fn parse_when_stock_header_reads_every_field() {
    let header = patched(0, &[]);
    assert_eq!(header.version, Protocol(0x020f));
    assert_eq!(header.release(), Some("7.3.4+deb13-amd64"));
    assert_eq!(
        (header.kernel_alignment, header.min_alignment),
        (0x20_0000, 0x15)
    );
    assert_eq!(
        (header.pref_address, header.init_size),
        (0x100_0000, 0x3e4_e000)
    );
    assert_eq!(fields(&header), [""; 0]);
}

#[test]
fn parse_when_not_a_bzimage_names_field_offset_and_value() {
    let mut elf = stock();
    put(&mut elf, 0x202, b"\x7fELF");
    let error = SetupHeader::parse(&elf, 16 * MIB).unwrap_err().to_string();
    assert!(
        error.contains(r#"header at offset 0x202 is "\x7fELF", not "HdrS""#),
        "{error}"
    );
    elf[0x1fe] = 0;
    let error = SetupHeader::parse(&elf, 16 * MIB).unwrap_err().to_string();
    assert!(
        error.contains("boot_flag at offset 0x1fe is 0xaa00"),
        "{error}"
    );
}

#[test]
fn parse_when_cut_short_says_how_much_is_missing() {
    let image = stock();
    for (have, need) in [(1023, 1024), (0, 1024)] {
        let error = SetupHeader::parse(&image[..have], have as u64).unwrap_err();
        assert!(
            matches!(error, BzImageError::Truncated { need: n, .. } if n == need),
            "{error}"
        );
    }
    let error = SetupHeader::parse(&image, 20480).unwrap_err();
    assert!(
        error.to_string().contains("20480 bytes, real-mode code"),
        "{error}"
    );
}

#[test]
fn check_image_when_a_field_forbids_it_names_field_value_and_need() {
    let cases: [(usize, &[u8], &str); 8] = [
        (
            0x206,
            &[0x04, 0x02],
            "version is 2.04, needed: 2.05 or newer",
        ),
        (
            0x206,
            &[0x0b, 0x02],
            "version is 2.11, needed: 2.12 or newer",
        ),
        (0x234, &[0], "relocatable_kernel is 0, needed: 1"),
        (
            0x230,
            &[0, 0, 0x30, 0],
            "kernel_alignment is 0x300000, needed: a power of two",
        ),
        (
            0x235,
            &[22],
            "min_alignment is 2^22, needed: at most kernel_alignment",
        ),
        (0x211, &[0], "loadflags is 0x00, needed: bit 0, LOADED_HIGH"),
        (
            0x236,
            &[0x7d, 0],
            "xloadflags is 0x007d, needed: bit 1, XLF_CAN_BE_LOADED_ABOVE_4G",
        ),
        (0x260, &[0; 4], "init_size is 0, needed: more than 0"),
    ];
    for (at, bytes, words) in cases {
        let found = fields(&patched(at, bytes));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(words), "{found:?}");
    }
}

#[test]
fn check_image_when_5_level_paging_is_off_does_not_ask_for_it() {
    let header = patched(0x236, &[0x3, 0]);
    assert_eq!(check_image(&header, true).len(), 1);
    assert!(check_image(&header, false).is_empty());
}

#[test]
fn check_region_when_above_4_gib_places_it_aligned() {
    let place = check_region(&patched(0, &[]), region(5 * 1024 + 1, 256), MIB).unwrap();
    assert_eq!(place.lowest, (5 * 1024 + 2) * MIB);
    assert_eq!(place.highest % 0x20_0000, 0);
    assert!(place.highest + 0x3e4_e000 <= (5 * 1024 + 257) * MIB);
}

#[test]
fn check_region_when_below_pref_address_or_small_says_so() {
    let header = patched(0, &[]);
    let words = |start, size, initramfs| {
        check_region(&header, region(start, size), initramfs)
            .unwrap_err()
            .to_string()
    };
    let low = words(1, 64, 0);
    assert!(
        low.contains("init_size 0x3e4e000 bytes at a multiple of kernel_alignment 0x200000, not below pref_address 0x1000000"),
        "{low}"
    );
    assert!(words(512, 48, 0).contains("0x20000000-0x22ffffff (50331648 bytes)"));
    assert!(words(512, 70, 8 * MIB).contains("init_size 65331200 + initramfs 8388608"));
}

#[test]
fn check_cmdline_when_too_long_says_both_lengths() {
    let header = patched(0, &[]);
    assert_eq!(check_cmdline(&header, "quiet"), Ok(()));
    let error = check_cmdline(&header, &"x".repeat(2017)).unwrap_err();
    assert!(error.to_string().contains("2017 bytes long"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn parse_when_bytes_are_hostile_never_panics(
        patches in prop::collection::vec((0x1f0_usize..0x268, any::<u8>()), 0..24),
        length in 0_usize..24 << 10,
        start in any::<u64>(),
        size in any::<u64>(),
        initramfs in any::<u64>(),
    ) {
        let mut image = stock();
        for (at, byte) in patches {
            image[at] = byte;
        }
        image.truncate(length);
        if let Ok(header) = SetupHeader::parse(&image, length as u64 + (1 << 20)) {
            let region = Region { start, last: start.saturating_add(size).max(start.saturating_add(1)) };
            let usable = check_image(&header, true).is_empty();
            if let Ok(place) = check_region(&header, region, initramfs) {
                if usable {
                    let alignment = u64::from(header.kernel_alignment);
                    prop_assert!(place.lowest % alignment == 0 && place.highest % alignment == 0);
                    prop_assert!(place.lowest >= region.start && place.lowest >= header.pref_address);
                    prop_assert!(place.lowest <= place.highest);
                    prop_assert!(place.highest + u64::from(header.init_size) - 1 <= region.last);
                }
            }
        }
    }
}
