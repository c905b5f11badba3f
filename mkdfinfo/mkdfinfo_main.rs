// SPDX-License-Identifier: GPL-2.0

//! mkdfinfo.ko: what a dump filter must know about this kernel, in /sys/kernel/mkdfinfo. Documentation/mkdfinfo.rst.
//!
//! Try it in a guest: `insmod mkdfinfo.ko && cat /sys/kernel/mkdfinfo/mkdfinfo`, and
//! `makedumpfile -i /sys/kernel/mkdfinfo/mkdfinfo -l -d 31 /proc/vmcore dump` in the capture kernel.
//!
//! Rooms: [`keys`] is the table of what is published; [`gather`] asks the kernel's note, BTF ([`btf`]) and kallsyms
//! ([`kallsyms`]), [`collect`] lets them agree, [`text`] writes the result, [`files`] is the sysfs side. All but
//! [`gather`] and [`files`] is `core`-only code that kdumpkit compiles as well (tools/modlogic).

use kernel::prelude::*;

// The host's kdumpkit uses all of the pure rooms, the module most of them.
#[allow(dead_code, unreachable_pub)]
mod btf;
#[allow(dead_code, unreachable_pub)]
mod collect;
mod files;
mod gather;
#[allow(dead_code, unreachable_pub)]
mod kallsyms;
#[allow(dead_code, unreachable_pub)]
mod keys;
#[allow(dead_code, unreachable_pub)]
mod note;
#[allow(dead_code, unreachable_pub)]
mod text;

module! {
    type: Mkdfinfo,
    name: "mkdfinfo",
    authors: ["kdumpkit"],
    description: "What a dump filter must know about this kernel, in /sys/kernel/mkdfinfo",
    license: "GPL v2",
}

struct Mkdfinfo {
    _files: files::Files,
}

impl kernel::Module for Mkdfinfo {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let facts = gather::gather()?;
        let published = facts.published();
        let files = files::Files::create(&facts)?;
        pr_info!(
            "{} keys published, {} withheld\n",
            published,
            facts.conflicts
        );
        Ok(Self { _files: files })
    }
}
