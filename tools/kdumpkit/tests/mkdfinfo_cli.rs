// SPDX-License-Identifier: GPL-2.0-or-later
//! `kdumpkit mkdfinfo` on files, without a kernel: what it makes, what it refuses, and how it says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const NOTE: &str = "OSRELEASE=7.3.4\nBUILD-ID=b399\nPAGESIZE=4096\nSYMBOL(prb)=ffffffffb5a830a0\n\
                    OFFSET(page.flags)=0\nNUMBER(phys_base)=-5\nKERNELOFFSET=32800000\n";
const BUILD: &str = "OSRELEASE=7.3.4\nBUILD-ID=b399\nPAGESIZE=4096\nOFFSET(page.flags)=0\nSYMBOL(prb)=ffffffff832830a0\n";

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("kdumpkit-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    fn file(&self, name: &str, contents: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, contents).expect(name);
        path.to_str().expect("UTF-8").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn mkdfinfo(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kdumpkit"));
    let output = command
        .arg("mkdfinfo")
        .args(arguments)
        .output()
        .expect("kdumpkit");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn note_becomes_both_forms() {
    let folder = Folder::new("forms");
    let note = folder.file("note", NOTE);
    let (status, build, _) = mkdfinfo(&["--from", "note", "--note", &note]);
    assert_eq!((status, build.as_str()), (Some(0), BUILD));
    let (_, boot, _) = mkdfinfo(&["--from", "note", "--note", &note, "--boot"]);
    assert!(
        boot.contains("SYMBOL(prb)=ffffffffb5a830a0\n") && boot.contains("NUMBER(phys_base)=-5\n"),
        "{boot}"
    );
}

#[test]
fn output_file_appears_whole_or_not_at_all() {
    let folder = Folder::new("output");
    let note = folder.file("note", NOTE);
    let out = folder.0.join("mkdfinfo");
    let out_name = out.to_str().expect("UTF-8");
    assert_eq!(
        mkdfinfo(&["--from", "note", "--note", &note, "-g", out_name]).0,
        Some(0)
    );
    assert_eq!(fs::read_to_string(&out).expect("the file"), BUILD);
    let (status, _, error) =
        mkdfinfo(&["--from", "note", "--note", &note, "-o", "/nonexistent/file"]);
    assert!(
        status == Some(1) && error.contains("writing /nonexistent/file"),
        "{error}"
    );
}

#[test]
fn bad_sources_are_named_with_line_and_key() {
    let folder = Folder::new("bad");
    let note = folder.file("note", NOTE);
    let bad_note = folder.file("bad", "OSRELEASE=7.3.4\nSIZE(page)=many\n");
    let (status, _, error) = mkdfinfo(&["--from", "note", "--note", &bad_note]);
    assert_eq!(status, Some(1));
    assert!(
        error.contains("line 2") && error.contains("SIZE(page)") && error.contains("\"many\""),
        "{error}"
    );
    let (_, _, error) = mkdfinfo(&["--from", "btf", "--note", &note, "--btf", &bad_note]);
    assert!(
        error.contains("BTF") && error.contains(&bad_note),
        "{error}"
    );
    let (_, _, error) = mkdfinfo(&["--from", "vmlinux"]);
    assert!(error.contains("-x VMLINUX"), "{error}");
    let (_, _, error) = mkdfinfo(&["-x", &note]);
    assert!(error.contains(&note), "{error}");
    let (status, _, _) = mkdfinfo(&["--from", "memory"]);
    assert_eq!(status, Some(2), "clap lists the valid sources");
}

#[test]
fn diff_says_what_differences_mean() {
    let folder = Folder::new("diff");
    let one = folder.file("one", BUILD);
    assert_eq!(mkdfinfo(&["--diff", &one, &one]).0, Some(0));
    let moved = folder.file("moved", &BUILD.replace("832830a0", "b5a830a0"));
    let (status, text, _) = mkdfinfo(&["--diff", &one, &moved]);
    assert!(
        status == Some(1) && text.contains("link-time on one side, run-time (KASLR) on the other"),
        "{text}"
    );
    let wrong = folder.file("wrong", &BUILD.replace("page.flags)=0", "page.flags)=8"));
    let (_, text, _) = mkdfinfo(&["--diff", &one, &wrong]);
    assert!(
        text.contains("OFFSET(page.flags): 0 | 8") && text.contains("classify pages"),
        "{text}"
    );
    let other = folder.file("other", &BUILD.replace("b399", "b400"));
    let (status, text, _) = mkdfinfo(&["--diff", &one, &other]);
    assert!(
        status == Some(2) && text.contains("different kernels"),
        "{text}"
    );
    let missing = Path::new("/nonexistent/file");
    assert!(
        mkdfinfo(&["--diff", &one, missing.to_str().expect("UTF-8")])
            .2
            .contains("/nonexistent/file")
    );
}
