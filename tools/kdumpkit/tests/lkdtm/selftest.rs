// SPDX-License-Identifier: GPL-2.0-or-later
//! The kernel's own selftest of LKDTM (tools/testing/selftests/lkdtm), unmodified, on our module; the table of what passes and
//! what we do not claim is Documentation/lkdtm-selftest.rst (UPDATE_DOCS=1 writes it).

use super::guest::{Guest, run};
use kdumpkit::initramfs::closure::closure;
use kdumpkit::tree::Tree;
use modlogic::lkdtm::types::Type;
use std::fmt::Write;
use std::path::PathBuf;

/// Tests that would end the guest, as the selftest does not expect.
const EXCEPT: &[(&str, &str)] = &[(
    "DOUBLE_FAULT",
    "panics on x86_64, and is a crash type here; the kernel's own refuses it there (ia32 only)",
)];

/// What the module does not claim, by the start of the name, and why.
const UNCLAIMED: &[(&str, &str)] = &[
    (
        "REFCOUNT_",
        "checks of refcount_t: they saturate and warn, nothing crashes",
    ),
    ("ATOMIC_TIMING", "a measurement"),
    (
        "USERCOPY_",
        "hardened usercopy: ends as a BUG, which the type BUG provokes",
    ),
    (
        "FORTIFY_",
        "checks that the C compiler adds to string functions",
    ),
    ("CFI_", "checks that the C compiler adds to calls"),
    (
        "FAM_BOUNDS",
        "a check that the C compiler adds (UBSAN); Rust's own is ARRAY_BOUNDS",
    ),
    (
        "PTR_BOUNDS",
        "a check that the C compiler adds (UBSAN); Rust's own is ARRAY_BOUNDS",
    ),
    ("KSTACK_ERASE", "erasing the stack: nothing crashes"),
    ("REPORT_STACK", "reports the stack canary: nothing crashes"),
    (
        "UNSET_SMEP",
        "pinned CR4 bits: the kernel sets them again, nothing crashes",
    ),
    ("CORRUPT_PAC", "arm64 only"),
    ("UNALIGNED_LOAD_STORE_WRITE", "x86 allows it"),
    ("WRITE_OPD", "ia64, parisc and powerpc only"),
    ("PPC_", "powerpc only"),
    ("SLAB_INIT_ON_ALLOC", "initialised memory: nothing crashes"),
    ("BUDDY_INIT_ON_ALLOC", "initialised memory: nothing crashes"),
    (
        "SLAB_LINEAR_OVERFLOW",
        "needs memory debugging to be noticed; WRITE_AFTER_FREE is of that kind",
    ),
    (
        "VMALLOC_LINEAR_OVERFLOW",
        "a page fault, which EXCEPTION and ACCESS_NULL provoke",
    ),
    (
        "SLAB_FREE_",
        "needs memory debugging to be noticed; SLAB_FREE_DOUBLE is of that kind",
    ),
    (
        "READ_BUDDY_AFTER_FREE",
        "needs memory debugging to be noticed; READ_AFTER_FREE is of that kind",
    ),
    (
        "WRITE_BUDDY_AFTER_FREE",
        "needs memory debugging to be noticed; WRITE_AFTER_FREE is of that kind",
    ),
    (
        "WRITE_RO_AFTER_INIT",
        "the same page permissions as WRITE_RO",
    ),
    ("EXEC_KMALLOC", "the same page permissions as EXEC_DATA"),
    ("EXEC_VMALLOC", "the same page permissions as EXEC_DATA"),
    ("EXEC_USERSPACE", "SMEP; ACCESS_USERSPACE shows SMAP"),
];

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Passes,
    /// The selftest itself never runs it, because it ends the machine: what kdumpkit test is for.
    Killer,
    Unclaimed(&'static str),
    Except(&'static str),
}

#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn the_kernels_selftest_passes_or_is_not_claimed() {
    let output = run(Guest {
        name: "selftest",
        variables: &format!(
            "EXCEPT='{}'",
            EXCEPT.iter().map(|e| e.0).collect::<Vec<_>>().join(" ")
        ),
        script: include_str!("selftest.sh"),
        files: files(),
        // What the selftest's config asks of a kernel (CONFIG_SLUB_DEBUG_ON); a stock kernel takes it at boot.
        cmdline: "slab_debug=FZPU",
        deadline_s: 300,
        ..Guest::default()
    });
    let results: Vec<(&str, Outcome)> = output
        .lines()
        .filter_map(|line| line.strip_prefix("RESULT "))
        .map(|line| {
            let mut words = line.splitn(3, ' ');
            let (name, status) = (words.next().unwrap(), words.next().unwrap());
            (name, outcome(name, status, words.next().unwrap_or("")))
        })
        .collect();
    assert!(results.len() > 80, "{} of some 89 tests", results.len());
    let page = page(&results);
    let path = Tree::find()
        .unwrap()
        .path("Documentation/lkdtm-selftest.rst");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(&path).unwrap_or_default(),
        page,
        "write it again with UPDATE_DOCS=1"
    );
}

/// The selftest, and programs it uses beyond what busybox can.
fn files() -> Vec<(String, PathBuf)> {
    let tree = Tree::find().expect("the source tree");
    let kernel = tree
        .kernel(std::env::var("KVER").ok().as_deref())
        .expect("a prepared kernel");
    let image = kernel.image();
    let source = image
        .with_file_name("kdir")
        .join("tools/testing/selftests/lkdtm");
    let mut files: Vec<_> = ["run.sh", "tests.txt"]
        .map(|name| (format!("selftest/{name}"), source.join(name)))
        .to_vec();
    let root = tree.buildroot().expect("the build root");
    for program in ["comm", "mktemp", "grep"] {
        let needs = closure(&root, &format!("usr/bin/{program}")).expect("a program");
        files.extend(needs);
    }
    files.sort();
    files.dedup_by(|a, b| a.0 == b.0);
    files
}

/// # Panics
/// What we claim does not pass, or what we do not claim has no reason.
fn outcome(name: &str, status: &str, words: &str) -> Outcome {
    let claimed = Type::find(name).is_some();
    let reason = |list: &'static [(&str, &'static str)]| {
        list.iter()
            .find(|(start, _)| name.starts_with(start))
            .map(|(_, why)| *why)
    };
    match status {
        "0" => Outcome::Passes,
        "except" => Outcome::Except(reason(EXCEPT).expect("a reason")),
        "4" if words.contains("missing in") => {
            assert!(!claimed, "{name}: claimed, but {words}");
            Outcome::Unclaimed(reason(UNCLAIMED).unwrap_or_else(|| panic!("{name}: {words}")))
        }
        "4" if words.starts_with("Skipping") => Outcome::Killer,
        _ => panic!("{name}: status {status}: {words}"),
    }
}

fn page(results: &[(&str, Outcome)]) -> String {
    let mut out = String::from(
        ".. SPDX-License-Identifier: GPL-2.0-or-later\n\
         .. Made by UPDATE_DOCS=1 cargo test -p kdumpkit --test lkdtm_guest -- --ignored selftest\n\n\
         lkdtm: the kernel's own selftest\n================================\n\n\
         tools/testing/selftests/lkdtm of 7.3 and 7.2, run.sh and tests.txt as they are, with lkdtm.ko in a guest that was booted\n\
         with ``slab_debug=FZPU``, which the selftest's config asks for. It drives ``provoke-crash/DIRECT`` and looks for a text in\n\
         the kernel's log.\n",
    );
    let mut section =
        |title: &str, intro: &str, pick: &dyn Fn(&Outcome) -> Option<&'static str>| {
            writeln!(out, "\n{title}\n{}\n\n{intro}\n", "-".repeat(title.len())).unwrap();
            for (name, outcome) in results {
                if let Some(words) = pick(outcome) {
                    let colon = if words.is_empty() { "" } else { ": " };
                    writeln!(out, "- ``{name}``{colon}{words}").unwrap();
                }
            }
        };
    section(
        "Passes",
        "Run and found to do what the selftest expects.",
        &|o| (*o == Outcome::Passes).then_some(""),
    );
    section(
        "Ends the machine",
        "The selftest skips these. Those that end the machine for sure are tested with a dump: ``kdumpkit test run --suite types``.",
        &|o| (*o == Outcome::Killer).then_some(""),
    );
    section("Does more here", "Left out of the run.", &|o| match o {
        Outcome::Except(why) => Some(*why),
        _ => None,
    });
    section(
        "Not claimed",
        "The subject is crashes that end in a dump, not the kernel's hardening.",
        &|o| match o {
            Outcome::Unclaimed(why) => Some(*why),
            _ => None,
        },
    );
    out
}
