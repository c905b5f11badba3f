// SPDX-License-Identifier: GPL-2.0

//! lkdtm.ko: crashes the running kernel at a chosen point in a chosen way, to test kdump.

use kernel::prelude::*;

module! {
    type: Lkdtm,
    name: "lkdtm",
    authors: ["the kdumpkit authors"],
    description: "Crashes the running kernel at a chosen point in a chosen way, to test kdump",
    license: "GPL",
}

struct Lkdtm;

impl kernel::Module for Lkdtm {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        pr_info!("no crash points in this build yet\n");
        Ok(Self)
    }
}
