// SPDX-License-Identifier: GPL-2.0

//! Accesses that page permissions forbid.

use core::{hint::black_box, mem::transmute, ptr::null};
use kernel::{bindings, ffi::c_ulong, page::PAGE_SIZE};

/// A function that only returns, as x86_64 machine code; the constants and data below hold it.
const RET: [u8; 16] = [0xc3; 16];
static CONSTANT: [u8; 16] = RET;
static mut DATA: [u8; 16] = RET;

/// Calls `code`.
#[inline(always)]
fn call(code: *const u8) {
    // SAFETY: none; the address is not executable, and the fault is the purpose.
    let code: unsafe extern "C" fn() = unsafe { transmute(black_box(code)) };
    // SAFETY: as above.
    unsafe { code() };
}

pub(super) fn exec_data() {
    call((&raw const DATA).cast());
}

pub(super) fn exec_stack() {
    let code = RET;
    call(black_box(&code).as_ptr());
}

pub(super) fn exec_rodata() {
    call(CONSTANT.as_ptr());
}

pub(super) fn exec_null() {
    call(null());
}

pub(super) fn access_null() {
    // SAFETY: none; nothing is mapped at address 0, and the fault is the purpose.
    unsafe { black_box(null::<i32>()).read_volatile() };
}

/// The page is mapped and filled, so only SMAP stands in the way.
pub(super) fn access_userspace() {
    // PROT_READ | PROT_WRITE and MAP_ANONYMOUS | MAP_PRIVATE, include/uapi/asm-generic/mman*.h.
    const PROT: c_ulong = 1 | 2;
    const FLAGS: c_ulong = 0x20 | 2;
    // SAFETY: only DIRECT gets here: a task with an address space of its own.
    let page = unsafe {
        bindings::vm_mmap(
            core::ptr::null_mut(),
            0,
            PAGE_SIZE as c_ulong,
            PROT,
            FLAGS,
            0,
        )
    };
    let filler = [1u8; 16];
    // SAFETY: the source holds 16 bytes; the user address is checked by the function.
    let _ =
        unsafe { bindings::_copy_to_user(page as *mut _, filler.as_ptr().cast(), filler.len()) };
    // SAFETY: none; without the accessors SMAP forbids it, and the fault is the purpose.
    unsafe { (page as *const u8).read_volatile() };
}

pub(super) fn write_ro() {
    // SAFETY: none; constants are mapped read-only, and the fault is the purpose.
    unsafe { black_box(CONSTANT.as_ptr().cast_mut()).write_volatile(0) };
}

pub(super) fn write_kern() {
    let code = bindings::schedule as *mut u8;
    // SAFETY: none; the kernel's code is mapped read-only, and the fault is the purpose.
    unsafe { black_box(code).write_volatile(0xcc) };
}
