// SPDX-License-Identifier: GPL-2.0-or-later
//! Makes the file.

use super::{MkdfinfoArgs, Origin, Places};
use anyhow::{Context, Result, bail, ensure};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use vmcore::Dump;
use vmcore::memory::Memory;
use vmcoreinfo::facts::{Form, Source};
use vmcoreinfo::{Conflict, Facts, Vmcoreinfo, live, vmlinux};

/// Longest file that is read into memory: a BTF blob is 6 MB, /proc/kallsyms 15 MB.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// Debian's is 6 MB.
const MAX_BTF_BYTES: u64 = 64 << 20;

/// What was made.
pub struct Made {
    /// The file's text.
    pub text: String,
    /// Keys that are not in it because sources differ.
    pub conflicts: Vec<Conflict>,
}

/// Makes what the command line asks for.
///
/// # Errors
/// A source that cannot be read, with what to do about it.
pub fn make(args: &MkdfinfoArgs) -> Result<Made> {
    let origin = match (args.from, &args.vmlinux) {
        (Some(origin), _) => origin,
        (None, _) if args.dump.is_some() => Origin::Dump,
        (None, Some(_)) => Origin::Vmlinux,
        (None, None) if args.places.sysfs.is_dir() => Origin::Sysfs,
        (None, None) => Origin::Btf,
    };
    if origin == Origin::Sysfs && args.vmlinux.is_some() {
        bail!("-x does not go with --from sysfs: compare the two files with --diff");
    }
    if args.dump.is_some() && origin != Origin::Dump {
        bail!("--dump goes with --from dump only");
    }
    if origin == Origin::Sysfs && !args.explain {
        return from_sysfs(&args.places, args.boot);
    }
    let facts = match (origin, &args.vmlinux) {
        (Origin::Sysfs, _) => {
            bail!("--explain: the module shows one value a key; use --from btf to see all sources")
        }
        (Origin::Vmlinux, Some(path)) => vmlinux::read(path)?,
        (Origin::Vmlinux, None) => {
            bail!("--from vmlinux needs -x VMLINUX, a kernel file with debugging information")
        }
        (Origin::Dump, file) => {
            let dump = args
                .dump
                .as_deref()
                .context("--from dump needs --dump VMCORE")?;
            and_vmlinux(from_dump(dump)?, file.as_deref())?
        }
        (Origin::Note, file) => and_vmlinux(from_note(&args.places)?, file.as_deref())?,
        (Origin::Btf, file) => and_vmlinux(from_btf(&args.places)?, file.as_deref())?,
    };
    if args.boot && origin == Origin::Vmlinux {
        bail!(
            "--boot: a kernel file knows nothing of a boot; use --from btf on the running kernel"
        );
    }
    let form = if args.boot { Form::Boot } else { Form::Build };
    let text = if args.explain {
        explain(&facts)
    } else {
        facts.to_text(form)
    };
    Ok(Made {
        text,
        conflicts: facts.conflicts(),
    })
}

/// A kernel file as one more source.
fn and_vmlinux(mut facts: Facts, file: Option<&Path>) -> Result<Facts> {
    if let Some(path) = file {
        facts
            .add_vmlinux(&vmlinux::read(path)?)
            .with_context(|| path.display().to_string())?;
    }
    Ok(facts)
}

/// The module has done the work; the text is read back so that nothing that is not VMCOREINFO goes out.
fn from_sysfs(places: &Places, boot: bool) -> Result<Made> {
    let path = places
        .sysfs
        .join(if boot { "mkdfinfo_boot" } else { "mkdfinfo" });
    let bytes = read_bounded(&path)
        .context("is mkdfinfo.ko loaded, and may this user read kernel addresses?")?;
    let info = Vmcoreinfo::parse(&bytes).with_context(|| path.display().to_string())?;
    Ok(Made {
        text: info.to_text(),
        conflicts: Vec::new(),
    })
}

fn from_note(places: &Places) -> Result<Facts> {
    let text = note(&places.note).with_context(|| {
        format!(
            "reading the VMCOREINFO note of {} (are you root?)",
            places.note.display()
        )
    })?;
    Facts::from_note(&text).with_context(|| places.note.display().to_string())
}

fn from_btf(places: &Places) -> Result<Facts> {
    let mut facts = from_note(places)?;
    let btf = read_bounded(&places.btf).context("has this kernel CONFIG_DEBUG_INFO_BTF?")?;
    facts
        .add_btf(&btf)
        .with_context(|| places.btf.display().to_string())?;
    let text = read_bounded(&places.kallsyms)?;
    let symbols = live::kallsyms(&text).with_context(|| places.kallsyms.display().to_string())?;
    facts.add_symbols(Source::Kallsyms, symbols);
    Ok(facts)
}

/// What the crashed kernel said about itself: its note, and the tables in its memory.
fn from_dump(path: &Path) -> Result<Facts> {
    let read = || {
        let dump = Dump::open(path)?;
        let mut facts = Facts::from_note(dump.vmcoreinfo().to_text().as_bytes())?;
        facts.add_btf(&dump_btf(&dump)?)?;
        let symbols = dump.symbols()?;
        let named = symbols
            .iter()
            .map(|symbol| (symbol.name.as_bytes(), symbol.addr.0));
        facts.add_symbols(Source::Kallsyms, named);
        Ok::<_, anyhow::Error>(facts)
    };
    read().with_context(|| format!("reading {}", path.display()))
}

/// The kernel's BTF blob in a dump.
///
/// # Errors
/// The kernel has none, or it is not in the dump.
pub fn dump_btf(dump: &Dump) -> Result<Vec<u8>> {
    let symbols = dump.symbols()?;
    let edge = |name| symbols.address(name);
    let (start, stop) = edge("__start_BTF")
        .zip(edge("__stop_BTF"))
        .context("the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)")?;
    let bytes = stop.0.saturating_sub(start.0);
    ensure!(
        bytes <= MAX_BTF_BYTES,
        "BTF of {bytes} bytes: at most {MAX_BTF_BYTES} are read"
    );
    dump.read_bytes(start, bytes as usize)
        .context("reading BTF in the dump")
}

/// The note in an ELF core file, or a file that is the note's text.
fn note(path: &Path) -> Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut magic = [0; 4];
    let len = file.read(&mut magic)?;
    if magic[..len] == *b"\x7fELF" {
        return live::note_of_core(file).map_err(anyhow::Error::msg);
    }
    read_bounded(path)
}

/// Reads a whole file of at most [`MAX_FILE_BYTES`].
///
/// # Errors
/// Names the file.
pub fn read_bounded(path: &Path) -> Result<Vec<u8>> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?
            .take(MAX_FILE_BYTES)
            .read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    read().with_context(|| format!("reading {}", path.display()))
}

/// One line a key: its value, what every source says, what it is needed for.
fn explain(facts: &Facts) -> String {
    let mut out = String::new();
    for (key, value) in facts.iter() {
        let said: Vec<_> = value
            .sources()
            .map(|(source, v)| format!("{}={v:#x}", source.name()))
            .collect();
        let verdict = match value.agreed() {
            Some(value) => format!("{value:#x}"),
            None if said.is_empty() => "absent".into(),
            None => "WITHHELD".into(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{}({})\t{verdict}\t{}\t{:?}, {:?}",
            key.kind.word(),
            key.name,
            said.join(" "),
            key.group,
            key.scope
        );
    }
    out
}
