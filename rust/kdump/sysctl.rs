// SPDX-License-Identifier: GPL-2.0

//! Settings of the running kernel that it does not export to modules.

use core::ptr::null_mut;
use kernel::{bindings, prelude::*, str::CString};

/// The number in `/proc/sys/NAME`, for example of `kernel/panic_on_oops`.
///
/// None if there is no such file (the kernel lacks it, /proc is not mounted) or it holds something else.
///
/// Context: task, may sleep.
pub fn read(name: &str) -> Option<i64> {
    let path = CString::try_from_fmt(fmt!("/proc/sys/{name}")).ok()?;
    let mut text = [0u8; 32];
    let mut pos = 0;
    // SAFETY: the path is NUL-terminated; the file is closed below.
    let file = unsafe { bindings::filp_open(path.as_char_ptr(), bindings::O_RDONLY as i32, 0) };
    let file = kernel::error::from_err_ptr(file).ok()?;
    // SAFETY: `file` is open, the buffer is as long as said.
    let n = unsafe { bindings::kernel_read(file, text.as_mut_ptr().cast(), text.len(), &mut pos) };
    // SAFETY: opened above, not used any more.
    unsafe { bindings::filp_close(file, null_mut()) };
    let text = text.get(..usize::try_from(n).ok()?)?;
    core::str::from_utf8(text).ok()?.trim().parse().ok()
}
