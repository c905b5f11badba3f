// SPDX-License-Identifier: GPL-2.0

//! The stack overflows or is overwritten.

use core::{arch::asm, hint::black_box};
use kernel::{bindings, ffi::c_void, page::PAGE_SIZE};

/// Stack used by each level of [`overflow`], a little more with the frame itself.
const LEVEL_BYTES: usize = 1024;

/// Recurses `levels` times. With a guard page behind the stack (CONFIG_VMAP_STACK) the kernel sees the overflow.
#[inline(never)]
pub(super) fn overflow(levels: u32) -> u8 {
    let mut level = [0u8; LEVEL_BYTES];
    // Touches the buffer, so that it exists.
    black_box(&mut level)[0] = levels as u8;
    let deeper = match levels {
        0 | 1 => 0,
        _ => overflow(levels - 1),
    };
    // Reads the buffer after the call, so that this is no tail call and the levels do not share it.
    black_box(&level)[0].wrapping_add(deeper)
}

/// Writes 64 bytes where 8 are.
extern "C" fn smash(buffer: *mut c_void) {
    // SAFETY: none; overwriting what lies behind the buffer, the canary among it, is the purpose.
    unsafe { black_box(buffer.cast::<u8>()).write_bytes(b'a', 64) };
}

pub(super) fn corrupt() {
    kdump::stack::with_guarded_array(smash);
}

pub(super) fn corrupt_strong() {
    kdump::stack::with_guarded_object(smash);
}

/// The lowest byte of the task's stack.
fn stack_of_current() -> *const u8 {
    // SAFETY: the current task and its stack do not go away while it runs this.
    unsafe { (*bindings::get_current()).stack.cast() }
}

pub(super) fn guard_leading() {
    // SAFETY: none; with CONFIG_VMAP_STACK the page below is not mapped, and the page fault is the purpose.
    unsafe { stack_of_current().wrapping_sub(1).read_volatile() };
}

pub(super) fn guard_trailing() {
    let size = PAGE_SIZE << THREAD_SIZE_ORDER;
    // SAFETY: none; with CONFIG_VMAP_STACK the page above is not mapped, and the page fault is the purpose.
    unsafe { stack_of_current().wrapping_add(size).read_volatile() };
}

/// arch/x86/include/asm/page_64_types.h; more with CONFIG_KASAN.
const THREAD_SIZE_ORDER: usize = if cfg!(CONFIG_KASAN) { 3 } else { 2 };

/// A page fault cannot push its frame when the stack pointer is bad: the CPU raises a double fault.
pub(super) fn double_fault() {
    // SAFETY: none; the stack pointer is lost, which is the purpose. Interrupts are off, so nothing else
    // uses it before. xchg, because objtool would follow a mov.
    unsafe {
        asm!(
            "cli",
            "xor eax, eax",
            "xchg rsp, rax",
            "push rax",
            "ud2",
            options(noreturn)
        );
    }
}
