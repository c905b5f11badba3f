// SPDX-License-Identifier: GPL-2.0-or-later
//! `kdumpkit early load`: the first act of the system initramfs.

use super::archive::{Parts, put_together};
use super::guard::{self, Answer};
use super::{Contents, FOLDER, files, store};
use crate::initramfs::modules::ModuleTree;
use crate::load::Plan;
use crate::load::config::Guard;
use crate::load::image::Image;
use anyhow::{Context, Result, ensure};
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};

/// On the kernel command line it keeps the early load from happening.
const OFF: &str = "kdumpkit.early=off";

/// How the early load ended; none of these is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A crash is captured from now on.
    Loaded(String),
    /// The crash-loop guard or the command line said no.
    Stopped(String),
}

/// Loads from [`FOLDER`].
///
/// # Errors
/// It cannot be loaded. The system boots on either way: whoever calls this ignores the exit status.
pub fn load() -> Result<Outcome> {
    let running = fs::read_to_string("/proc/cmdline").context("reading /proc/cmdline")?;
    if running.split_whitespace().any(|word| word == OFF) {
        return Ok(Outcome::Stopped(format!(
            "not loaded: {OFF} is on the command line"
        )));
    }
    let folder = Path::new(FOLDER);
    let contents = Contents::read(folder)?;
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    ensure!(
        contents.release == release,
        "the system initramfs has the capture kernel of {}, {release} is running: build the system initramfs anew",
        contents.release
    );
    let early = &contents.load.early;
    if let Guard::Device(_) = early.guard {
        // The targets' drivers are the guard's as well; what fails here is missing below.
        let _ = Command::new("modprobe")
            .arg("-qa")
            .args(&contents.modules)
            .stdin(Stdio::null())
            .status();
    }
    let store = store::open(&early.guard)?;
    let counted = match &store {
        None => "no crash-loop guard".to_owned(),
        Some(store) => match guard::begin(store.as_ref(), early.limit)? {
            Answer::Stop { boots } => return Ok(Outcome::Stopped(stopped(boots, &store.place()))),
            Answer::Load { boot } => format!("boot {boot} of {}", early.limit),
        },
    };
    let plan = plan(&contents, folder, running.trim())?;
    let placement = plan.load(true)?;
    Ok(Outcome::Loaded(format!(
        "loaded at {:#x} to {:#x}, {counted}",
        placement.lowest, placement.highest
    )))
}

fn stopped(boots: u32, place: &str) -> String {
    format!(
        "NOT loaded: {boots} boots in a row loaded early and never came up (counted in {place}). This boot goes on without; \
         when it comes up, the next one loads early again. Look at the dumps"
    )
}

fn plan(contents: &Contents, folder: &Path, running: &str) -> Result<Plan> {
    let initramfs = initramfs(contents, folder)?;
    Ok(Plan {
        image: Image::open(&folder.join(files::KERNEL))?,
        cmdline: contents.load.cmdline(running),
        initramfs: format!("/proc/self/fd/{}", initramfs.as_raw_fd()).into(),
        memory: Some(initramfs),
    })
}

/// Puts the capture initramfs together in memory.
fn initramfs(contents: &Contents, folder: &Path) -> Result<File> {
    let build = || -> Result<File> {
        let parts = Parts {
            rest: fs::read(folder.join(files::REST))?,
            modules: contents.modules.clone(),
        };
        let system = ModuleTree::open(&Path::new("/lib/modules").join(&contents.release))?;
        let file = File::from(memfd_create("capture-initramfs", MemfdFlags::CLOEXEC)?);
        let mut out = BufWriter::new(&file);
        let program = folder.join(files::PROGRAM);
        put_together(&parts, &contents.release, &program, &system, &mut out)?;
        out.flush()?;
        drop(out);
        Ok(file)
    };
    build().context("putting the capture initramfs together")
}

/// For the kernel log: the console shows it even with `quiet` when it matters.
pub fn say(result: &Result<Outcome>) {
    // <level> as in kmsg: 3 is an error, 5 a notice.
    let line = match result {
        Ok(Outcome::Loaded(words)) => format!("<5>kdumpkit: early: {words}"),
        Ok(Outcome::Stopped(words)) => format!("<3>kdumpkit: early: {words}"),
        Err(error) => format!(
            "<3>kdumpkit: early: {}",
            format!("{error:#}").replace('\n', " ")
        ),
    };
    let written = File::options()
        .write(true)
        .open("/dev/kmsg")
        .and_then(|mut log| log.write_all(line.as_bytes()));
    if written.is_err() {
        eprintln!("{}", &line[3..]);
    }
}
