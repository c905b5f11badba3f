// SPDX-License-Identifier: GPL-2.0

//! Reading the kernel's own image by address: constant tables, and single variables that are not exported.
//!
//! Every access is checked: an address outside of the image, or one that is not mapped, gives an error and no oops.
//!
//! C header: [`include/linux/uaccess.h`](srctree/include/linux/uaccess.h)

use crate::bindings;
use core::{ptr::from_mut, slice};
use kernel::{ffi::c_void, prelude::*};

/// Where the kernel's image can be: `__START_KERNEL_map` of x86_64.
const START: u64 = 0xffff_ffff_8000_0000;
/// Largest image: `KERNEL_IMAGE_SIZE`.
const LIMIT: u64 = START + kernel::bindings::KERNEL_IMAGE_SIZE as u64;

/// Copies an `i32` from anywhere in the image; the variable may change at any time.
///
/// Context: any.
///
/// # Errors
///
/// `EFAULT`: nothing is mapped there, or it is not in the image.
pub fn read_i32(address: u64) -> Result<i32> {
    if !(START..LIMIT - 3).contains(&address) {
        return Err(EFAULT);
    }
    let mut value = 0i32;
    // SAFETY: the destination is an i32 of ours; the source may be anything, the function catches faults.
    let failed = unsafe {
        kernel::bindings::copy_from_kernel_nofault(
            from_mut(&mut value).cast::<c_void>(),
            address as *const c_void,
            size_of::<i32>(),
        )
    };
    match failed {
        0 => Ok(value),
        _ => Err(EFAULT),
    }
}

/// A constant table in the kernel's image (`.rodata`).
///
/// Context: any; looks at every page (of 4 KB or 2 MB) once.
///
/// # Errors
///
/// `EFAULT`: part of it is not mapped, or not in the image. `EPERM`: part of it is writable, so it is not constant (or the
/// kernel was booted with `rodata=off`).
pub fn constant(address: u64, len: usize) -> Result<&'static [u8]> {
    let end = address.checked_add(len as u64).ok_or(EFAULT)?;
    if len == 0 || !(START..LIMIT).contains(&address) || end > LIMIT {
        return Err(EFAULT);
    }
    let mut at = address;
    while at < end {
        read_i32(at & !3)?;
        // SAFETY: only looks at page tables; those of the kernel's image stay.
        let page = unsafe { bindings::kdump_helper_read_only_page(at as usize) } as u64;
        if page == 0 {
            return Err(EPERM);
        }
        // A power of two: to the start of the next page.
        at = (at | (page - 1)) + 1;
    }
    // SAFETY: all pages were found mapped just now and are in the kernel's image; what is mapped read-only there once modules can
    // load is constant data or code, which is never unmapped, and no one can write to it through this address. (Code
    // that is patched would be a wrong address from the caller: bytes may change then, but the reader takes any bytes.)
    Ok(unsafe { slice::from_raw_parts(address as *const u8, len) })
}

/// The kernel's VMCOREINFO note as it is now: an ELF note, header included.
///
/// The kernel writes it once at boot and again in a crash; a copy is returned.
///
/// Context: process (allocates).
///
/// # Errors
///
/// `ENOENT`: this kernel has none. `ENOMEM`.
///
/// C header: [`include/linux/vmcore_info.h`](srctree/include/linux/vmcore_info.h)
pub fn vmcoreinfo_note() -> Result<KVec<u8>> {
    let mut len = 0;
    // SAFETY: only fills in `len`.
    let note = unsafe { bindings::kdump_helper_vmcoreinfo_note(&mut len) };
    if note.is_null() {
        return Err(ENOENT);
    }
    let mut copy = KVec::from_elem(0u8, len, GFP_KERNEL)?;
    // SAFETY: the destination has `len` bytes; faults in the source are caught.
    let failed =
        unsafe { kernel::bindings::copy_from_kernel_nofault(copy.as_mut_ptr().cast(), note, len) };
    match failed {
        0 => Ok(copy),
        _ => Err(ENOENT),
    }
}
