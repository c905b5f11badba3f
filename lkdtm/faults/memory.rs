// SPDX-License-Identifier: GPL-2.0

//! Memory that is used against the rules of the allocator or of the kernel's lists.

use core::{hint::black_box, ptr::addr_of_mut};
use kernel::{
    alloc::{flags::GFP_NOWAIT, KBox},
    bindings::{self, list_head},
};

type Object = [u64; 32];

/// What the object holds while it is in use.
const MARK: u64 = 0x1234_5678_1234_5678;

/// An object that is freed again, but still pointed to. None without memory.
fn freed() -> Option<*mut Object> {
    let object = KBox::into_raw(KBox::new([MARK; 32], GFP_NOWAIT).ok()?);
    // SAFETY: just allocated, and this is its only owner.
    drop(unsafe { KBox::from_raw(object) });
    Some(object)
}

pub(super) fn write_after_free() {
    if let Some(object) = freed() {
        // SAFETY: none; the object is freed, and the corruption is the purpose.
        unsafe { black_box(object).write_volatile([0x7878_7878_7878_7878; 32]) };
    }
}

pub(super) fn read_after_free() {
    if let Some(object) = freed() {
        // SAFETY: none; the object is freed, and reading it is the purpose.
        let was = unsafe { black_box(object).read_volatile() };
        // The text of the kernel's own LKDTM, for its selftest. Behind the allocator's own pointer, near the middle.
        if was[7] == MARK {
            kdump::print::alert_deferred(c"lkdtm", c"FAIL: Memory was not poisoned!");
        } else {
            kdump::print::alert_deferred(c"lkdtm", c"Memory correctly poisoned");
        }
    }
}

pub(super) fn free_double() {
    if let Some(object) = freed() {
        // SAFETY: none; the object is freed already, and freeing it again is the purpose.
        drop(unsafe { KBox::from_raw(black_box(object)) });
    }
}

/// A list whose head does not point back to the only entry.
struct Broken {
    head: list_head,
    entry: list_head,
    elsewhere: list_head,
}

impl Broken {
    fn link(&mut self) {
        let (head, entry) = (addr_of_mut!(self.head), addr_of_mut!(self.entry));
        self.elsewhere.next = addr_of_mut!(self.elsewhere);
        self.elsewhere.prev = addr_of_mut!(self.elsewhere);
        self.head.next = entry;
        self.head.prev = addr_of_mut!(self.elsewhere);
        self.entry.next = head;
        self.entry.prev = addr_of_mut!(self.elsewhere);
    }

    fn zeroed() -> Self {
        Self {
            head: list_head::default(),
            entry: list_head::default(),
            elsewhere: list_head::default(),
        }
    }
}

pub(super) fn corrupt_list_add() {
    let mut list = Broken::zeroed();
    list.link();
    let mut new = list_head::default();
    // SAFETY: none; the links are wrong, and that the kernel's check sees it is the purpose.
    unsafe { bindings::list_add_tail(&raw mut new, black_box(&raw mut list.head)) };
}

pub(super) fn corrupt_list_del() {
    let mut list = Broken::zeroed();
    list.link();
    // SAFETY: none; the links are wrong, and that the kernel's check sees it is the purpose.
    unsafe { kdump::list_del(black_box(&raw mut list.entry)) };
}
