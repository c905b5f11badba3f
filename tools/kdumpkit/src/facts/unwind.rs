// SPDX-License-Identifier: GPL-2.0-or-later
//! The stack of a stopped CPU by the kernel's own unwind tables (ORC), through interrupts, exceptions and the trampolines
//! of kprobes, to the task's entry into the kernel.

use super::code::Code;
use super::orc::{Base, Entry, Kind};
use serde::Serialize;
use std::collections::HashSet;
use std::fmt;
use vmcore::memory::Memory;
use vmcore::{Dump, Regs, VirtAddr};

/// A kernel stack of 16 KiB that is full of the smallest frames has more; nobody reads them.
const MAX_FRAMES: usize = 256;
/// Words of a stack that are tried at one gap, and gaps of one stack.
const MAX_GAP_WORDS: u64 = 2048;
const MAX_GAPS: usize = 4;
/// struct pt_regs (arch/x86/include/asm/ptrace.h): 21 words, of which the CPU itself pushes the last five.
const PT_REGS_WORDS: usize = 21;
const IRET_WORDS: usize = 5;
/// A function that ftrace has hooked calls its trampoline right behind its start (endbr64, call).
const LONGEST_HOOK_BYTES: u64 = 16;

/// Code that ftrace made for one of its users.
const TRAMPOLINE: &str = "[ftrace trampoline]";

/// One function on the stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// The function; the address in hexadecimal where no symbol covers it.
    pub symbol: String,
    /// Distance from its start, in bytes.
    pub offset: u64,
    /// The module that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Where execution was or goes on.
    pub ip: u64,
    /// The stack pointer there; 0 when only a word was found.
    pub sp: u64,
    /// This function was interrupted here: what stands before it is the handler.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// The way to this function was found by trying, not by a table.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub guessed: bool,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&demangled(&self.symbol))?;
        if self.offset > 0 {
            write!(f, "+{:#x}", self.offset)?;
        }
        match &self.module {
            Some(module) => write!(f, " [{module}]"),
            None => Ok(()),
        }
    }
}

/// Rust's names as they are written in the source.
fn demangled(symbol: &str) -> String {
    match rustc_demangle::try_demangle(symbol) {
        Ok(name) => format!("{name:#}"),
        Err(_) => symbol.to_owned(),
    }
}

/// Where a stack ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "how", content = "why")]
pub enum End {
    /// At its start: a kernel thread's or an idle task's first function.
    Start,
    /// User space: a system call, or an interrupt or exception of user code.
    User,
    /// Something was missing or contradicts itself.
    Lost(String),
}

/// A stack, innermost function first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stack {
    /// Its functions.
    pub frames: Vec<Frame>,
    /// Where it ends.
    pub end: End,
}

impl Stack {
    /// The functions with their numbers, and how often each comes in a row: recursion.
    pub fn runs(&self) -> Vec<(usize, &Frame, usize)> {
        let same = |a: &Frame, b: &Frame| (a.ip, a.interrupted) == (b.ip, b.interrupted);
        let mut runs: Vec<(usize, &Frame, usize)> = Vec::new();
        for (i, frame) in self.frames.iter().enumerate() {
            match runs.last_mut() {
                Some((_, last, times)) if same(last, frame) => *times += 1,
                _ => runs.push((i, frame, 1)),
            }
        }
        runs
    }
}

/// Registers of one frame, as far as they are known.
#[derive(Debug, Clone, Copy)]
struct State {
    ip: u64,
    sp: u64,
    bp: u64,
    /// `ip` is the instruction itself, not the one behind a call.
    exact: bool,
    /// dx, di, r10, r13: known where registers were saved as a whole.
    others: Option<[u64; 4]>,
}

/// Unwinds from the registers that a CPU saved when it stopped.
pub fn unwind(dump: &Dump, code: &mut Code<'_>, regs: &Regs) -> Stack {
    let mut frames = Vec::new();
    if regs.cs & 3 == 3 {
        let end = End::User;
        return Stack { frames, end };
    }
    let state = State {
        ip: regs.rip,
        sp: regs.rsp,
        bp: regs.rbp,
        exact: true,
        others: Some([regs.rdx, regs.rdi, regs.r10, regs.r13]),
    };
    let mut end = follow(dump, code, state, &mut frames);
    for _ in 0..MAX_GAPS {
        let (End::Lost(_), Some(last)) = (&end, frames.last()) else {
            break;
        };
        let Some((more, its_end)) = behind_gap(dump, code, last.sp, frames.len()) else {
            break;
        };
        frames.extend(more);
        end = its_end;
    }
    Stack { frames, end }
}

/// Adds frames from `state` on to where the stack ends or is lost.
fn follow(dump: &Dump, code: &mut Code<'_>, mut state: State, frames: &mut Vec<Frame>) -> End {
    let mut seen = HashSet::new();
    let mut interrupted = false;
    loop {
        frames.push(frame(code, &state, interrupted));
        if frames.len() >= MAX_FRAMES || !seen.insert((state.ip, state.sp)) {
            let why = format!("the stack does not end after {} functions", frames.len());
            return End::Lost(why);
        }
        match step(dump, code, &state) {
            Ok(Step::Caller(caller)) => {
                interrupted = caller.exact;
                state = caller;
            }
            Ok(Step::Hooked(caller)) => {
                if let Some(last) = frames.last_mut() {
                    last.symbol = TRAMPOLINE.into();
                }
                interrupted = false;
                state = caller;
            }
            Ok(Step::Start) => return End::Start,
            Ok(Step::User) => return End::User,
            Err(why) => return End::Lost(why),
        }
    }
}

/// Goes on where no table helps: with the first word on the stack that is the address behind a call and from which the
/// tables lead to the stack's end.
///
/// So it is for the CPU that crashed: the kernel takes its instruction pointer from a label, which the compiler may put
/// anywhere.
fn behind_gap(
    dump: &Dump,
    code: &mut Code<'_>,
    from: u64,
    so_far: usize,
) -> Option<(Vec<Frame>, End)> {
    for i in 0..MAX_GAP_WORDS {
        let at = (from & !7).checked_add(8 * i)?;
        let ip = dump.read_u64(VirtAddr(at)).ok()?;
        if code.orc(ip.wrapping_sub(1)).is_none() || !is_behind_call(dump, ip) {
            continue;
        }
        let state = State {
            ip,
            sp: at + 8,
            bp: 0,
            exact: false,
            others: None,
        };
        let mut frames = Vec::new();
        let end = follow(dump, code, state, &mut frames);
        if frames.len() + so_far < MAX_FRAMES && !matches!(end, End::Lost(_)) {
            frames[0].guessed = true;
            return Some((frames, end));
        }
    }
    None
}

/// Whether a call instruction ends at `ip`: with a 32-bit distance, or indirect (Intel SDM vol. 2, CALL).
fn is_behind_call(dump: &Dump, ip: u64) -> bool {
    let mut code = [0; 7];
    let read = dump.read_virt(VirtAddr(ip.wrapping_sub(7)), &mut code);
    let indirect = |at: usize| code[at] == 0xff && code[at + 1] >> 3 & 7 == 2;
    read.is_ok() && (code[2] == 0xe8 || [0, 1, 3, 4, 5].into_iter().any(indirect))
}

fn frame(code: &mut Code<'_>, state: &State, interrupted: bool) -> Frame {
    let State { ip, sp, .. } = *state;
    let place = code.place(state.instruction());
    // The offset is that of the return address, as the kernel's own traces have it.
    let behind = ip.wrapping_sub(state.instruction());
    let (symbol, offset, module) = match place {
        Some(place) => (place.symbol, place.offset + behind, place.module),
        None => (format!("{ip:#x}"), 0, None),
    };
    Frame {
        symbol,
        offset,
        module,
        ip,
        sp,
        interrupted,
        guessed: false,
    }
}

impl State {
    /// A call may be the last instruction of its function: the call itself, not what stands behind it.
    fn instruction(&self) -> u64 {
        match self.exact {
            true => self.ip,
            false => self.ip.wrapping_sub(1),
        }
    }
}

enum Step {
    Caller(State),
    /// The caller called ftrace.
    Hooked(State),
    Start,
    User,
}

fn step(dump: &Dump, code: &mut Code<'_>, state: &State) -> Result<Step, String> {
    let at = state.instruction();
    if let Some(entry) = code.orc(at) {
        return apply(dump, &entry, state);
    }
    // ftrace copies its entry code for each user, so that no table covers it; the original's does as well.
    let entry = code
        .trampoline()
        .ok_or_else(|| format!("no unwind table covers {at:#x}"))?;
    match apply(dump, &entry, state) {
        Ok(Step::Caller(caller))
            if code
                .offset(caller.ip)
                .is_some_and(|o| o <= LONGEST_HOOK_BYTES) =>
        {
            Ok(Step::Hooked(caller))
        }
        _ => Err(format!("no unwind table covers {at:#x}")),
    }
}

fn apply(dump: &Dump, entry: &Entry, state: &State) -> Result<Step, String> {
    let word = |at: u64| {
        dump.read_u64(VirtAddr(at))
            .map_err(|_| format!("the stack at {at:#x} is not in the dump"))
    };
    match entry.kind {
        Kind::End => return Ok(Step::Start),
        Kind::Undefined => return Err(format!("no unwind information at {:#x}", state.ip)),
        Kind::Call | Kind::Regs | Kind::IretFrame => {}
    }
    let other = |i: usize| {
        let lost = || "a register that the stack depends on was not saved".to_owned();
        state.others.map(|others| others[i]).ok_or_else(lost)
    };
    let from = |base: u64| base.wrapping_add_signed(entry.sp_offset);
    let sp = match entry.sp {
        Base::Sp => from(state.sp),
        Base::Bp => from(state.bp),
        Base::BpIndirect => word(from(state.bp))?,
        Base::SpIndirect => from(word(state.sp)?),
        Base::Dx => other(0)?,
        Base::Di => other(1)?,
        Base::R10 => other(2)?,
        Base::R13 => other(3)?,
        Base::Ax | Base::Undefined | Base::PrevSp => {
            return Err(format!("no unwind information at {:#x}", state.ip));
        }
    };
    let caller = match entry.kind {
        Kind::Regs => {
            let regs = words::<PT_REGS_WORDS>(dump, sp)?;
            match leave(&regs[PT_REGS_WORDS - IRET_WORDS..]) {
                None => return Ok(Step::User),
                Some((ip, caller_sp)) => State {
                    ip,
                    sp: caller_sp,
                    bp: regs[4],
                    exact: true,
                    others: Some([regs[12], regs[14], regs[7], regs[2]]),
                },
            }
        }
        Kind::IretFrame => match leave(&words::<IRET_WORDS>(dump, sp)?) {
            None => return Ok(Step::User),
            Some((ip, caller_sp)) => State {
                ip,
                sp: caller_sp,
                bp: state.bp,
                exact: true,
                others: None,
            },
        },
        Kind::Call | Kind::Undefined | Kind::End => State {
            ip: word(sp.wrapping_sub(8))?,
            sp,
            bp: state.bp,
            exact: entry.signal,
            others: None,
        },
    };
    let bp_at = match entry.bp {
        Base::PrevSp => Some(sp.wrapping_add_signed(entry.bp_offset)),
        Base::Bp => Some(state.bp.wrapping_add_signed(entry.bp_offset)),
        _ => None,
    };
    let bp = match bp_at {
        Some(at) => word(at)?,
        None => caller.bp,
    };
    Ok(Step::Caller(State { bp, ..caller }))
}

/// What the CPU pushed: ip, cs, flags, sp, ss. None when that was user space.
fn leave(iret: &[u64]) -> Option<(u64, u64)> {
    (iret[1] & 3 == 0).then_some((iret[0], iret[3]))
}

fn words<const N: usize>(dump: &Dump, at: u64) -> Result<[u64; N], String> {
    let raw = dump
        .read_bytes(VirtAddr(at), N * 8)
        .map_err(|_| format!("the registers at {at:#x} are not in the dump"))?;
    let mut words = [0; N];
    for (word, raw) in words.iter_mut().zip(raw.chunks_exact(8)) {
        *word = raw
            .iter()
            .rev()
            .fold(0, |n, byte| n << 8 | u64::from(*byte));
    }
    Ok(words)
}
