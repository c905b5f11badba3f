// SPDX-License-Identifier: GPL-2.0

//! Crash points: the places in the kernel where a crash can be provoked.
//!
//! One table for the module, for kdumpkit's command line and verdict, and for the documentation. Spelling and
//! meaning follow the kernel's own LKDTM (Documentation/fault-injection/provoke-crashes.rst); the symbols are those
//! of Linux 7.x on x86_64, with the ones of older kernels behind them.

/// A set of contexts in which a point may be hit: bits [`TASK`], [`SOFTIRQ`], [`HARDIRQ`].
pub type Contexts = u8;
/// A task's own code.
pub const TASK: Contexts = 1;
/// A softirq handler.
pub const SOFTIRQ: Contexts = 2;
/// A hard interrupt handler.
pub const HARDIRQ: Contexts = 4;
/// A non-maskable interrupt, or an exception that is entered like one. No point is hit there; some crashes end there.
pub const NMI: Contexts = 8;
/// Any in which a point is hit.
pub const ANY: Contexts = TASK | SOFTIRQ | HARDIRQ;

/// A named place where the kernel can be made to crash.
#[derive(Debug)]
pub struct Point {
    /// The name, as LKDTM spells it.
    pub name: &'static str,
    /// Names that older kernels, the talk of 2007 and the Linux Test Project used.
    pub aliases: &'static [&'static str],
    /// Functions whose entry is the point; the first one that can be probed is taken. None: no probe, crash at once.
    pub symbols: &'static [&'static str],
    /// The module that has these functions, in kernels that do not have them built in.
    pub module: Option<&'static str>,
    /// The contexts in which these functions run.
    pub contexts: Contexts,
    /// What happens there.
    pub summary: &'static str,
    /// What makes the point fire, for a person or a test that has to produce it.
    pub load: &'static str,
}

/// All points, in the order in which they are listed.
pub const POINTS: &[Point] = &[
    Point {
        name: "DIRECT",
        aliases: &[],
        symbols: &[],
        module: None,
        contexts: TASK,
        summary: "no probe: the task that arms it crashes",
        load: "nothing",
    },
    Point {
        name: "INT_HARDWARE_ENTRY",
        aliases: &["do_IRQ", "__do_IRQ"],
        symbols: &["__common_interrupt", "do_IRQ", "__do_IRQ"],
        module: None,
        contexts: HARDIRQ,
        summary: "entry of a device interrupt, interrupts off",
        load: "device interrupts: disk or network traffic",
    },
    Point {
        name: "INT_HW_IRQ_EN",
        aliases: &["handle_IRQ_event"],
        symbols: &["handle_irq_event", "handle_IRQ_event"],
        module: None,
        contexts: HARDIRQ,
        summary: "the handlers of a device interrupt are about to run",
        load: "device interrupts: disk or network traffic",
    },
    Point {
        name: "INT_TIMER_ENTRY",
        aliases: &[],
        symbols: &["__sysvec_apic_timer_interrupt", "hrtimer_interrupt"],
        module: None,
        contexts: HARDIRQ,
        summary: "entry of the local timer interrupt, interrupts off",
        load: "nothing: every CPU that is not idle has ticks",
    },
    Point {
        name: "INT_SOFTIRQ_ENTRY",
        aliases: &[],
        symbols: &["handle_softirqs", "__do_softirq"],
        module: None,
        contexts: TASK,
        summary: "pending softirqs are about to run: behind the hard interrupt, interrupts off",
        load: "nothing: timers raise softirqs",
    },
    Point {
        name: "INT_SOFTIRQ_EN",
        aliases: &[],
        symbols: &["run_timer_softirq", "blk_done_softirq"],
        module: None,
        contexts: SOFTIRQ,
        summary: "inside a softirq handler, interrupts on",
        load: "nothing: timers raise softirqs",
    },
    Point {
        name: "INT_TASKLET_ENTRY",
        aliases: &[],
        symbols: &["tasklet_action", "tasklet_action_common"],
        module: None,
        contexts: SOFTIRQ,
        summary: "tasklets are about to run",
        load: "a driver that schedules tasklets (few are left)",
    },
    Point {
        name: "FS_DEVRW",
        aliases: &["ll_rw_block"],
        symbols: &["submit_bio", "ll_rw_block"],
        module: None,
        contexts: ANY,
        summary: "block I/O is submitted, by whichever file system",
        load: "uncached reads or writes with fsync",
    },
    Point {
        name: "FS_SUBMIT_BH",
        aliases: &["submit_bh"],
        symbols: &["__bh_submit", "bh_submit", "submit_bh_wbc", "submit_bh"],
        module: None,
        contexts: ANY,
        summary: "a buffer head is submitted",
        load: "ext4 metadata, or reads of a raw block device",
    },
    Point {
        name: "MEM_SWAPOUT",
        aliases: &["shrink_inactive_list"],
        symbols: &[
            "shrink_inactive_list",
            "shrink_folio_list",
            "evict_folios",
            "swap_writeout",
        ],
        module: None,
        contexts: TASK,
        summary: "page reclaim is about to free or swap out pages",
        load: "memory pressure",
    },
    Point {
        name: "TIMERADD",
        aliases: &["hrtimer_start"],
        symbols: &["hrtimer_start_range_ns", "hrtimer_start"],
        module: None,
        contexts: ANY,
        summary: "a high-resolution timer is started",
        load: "sleeping tasks; the scheduler's own tick",
    },
    Point {
        name: "SCSI_QUEUE_RQ",
        aliases: &["SCSI_DISPATCH_CMD", "scsi_dispatch_cmd"],
        symbols: &["scsi_queue_rq", "scsi_dispatch_cmd", "scsi_dispatch_cmnd"],
        module: Some("scsi_mod"),
        contexts: ANY,
        summary: "a command is handed to a SCSI host",
        load: "I/O on a SCSI disk",
    },
    Point {
        name: "BLK_START_RQ",
        aliases: &["IDE_CORE_CP", "ide_core_cp", "generic_ide_ioctl"],
        symbols: &["blk_mq_start_request"],
        module: None,
        contexts: ANY,
        summary: "a driver starts a block request, whichever the driver",
        load: "uncached reads or writes with fsync",
    },
];

impl Point {
    /// The point called `name`, or with `name` among its aliases.
    pub fn find(name: &str) -> Option<&'static Self> {
        POINTS
            .iter()
            .find(|p| p.name == name)
            .or_else(|| POINTS.iter().find(|p| p.aliases.contains(&name)))
    }

    /// Whether arming the point crashes at once, without a probe.
    pub const fn is_direct(&self) -> bool {
        self.symbols.is_empty()
    }
}

/// A function, found by its name: `symbol` or `module:symbol`.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub struct Symbol<'a> {
    /// The module that has it, if one is named.
    pub module: Option<&'a str>,
    /// Its name there.
    pub name: &'a str,
}

/// `symbol[+offset]` or `module:symbol[+offset]`, taken apart.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub struct Place<'a> {
    /// The function.
    pub symbol: Symbol<'a>,
    /// Bytes behind its start.
    pub offset_bytes: u32,
}

/// Why a text is no [`Place`].
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum BadPlace {
    /// No symbol, or characters that no symbol has.
    Symbol,
    /// What follows `+` is not a decimal or 0x-hexadecimal number below 2^32.
    Offset,
}

impl<'a> Place<'a> {
    /// The first instruction of `symbol`.
    pub const fn entry(symbol: &'a str) -> Self {
        Self {
            symbol: Symbol {
                module: None,
                name: symbol,
            },
            offset_bytes: 0,
        }
    }

    /// Parses `text`.
    ///
    /// # Errors
    ///
    /// [`BadPlace`] names the part that is wrong.
    pub fn parse(text: &'a str) -> Result<Self, BadPlace> {
        let (symbol, offset_bytes) = match text.split_once('+') {
            None => (text, 0),
            Some((symbol, offset)) => (symbol, parse_offset(offset).ok_or(BadPlace::Offset)?),
        };
        let (module, name) = match symbol.split_once(':') {
            None => (None, symbol),
            Some((module, name)) => (Some(module), name),
        };
        let ok = |s: &str| {
            // KSYM_NAME_LEN, include/linux/kallsyms.h.
            (1..512).contains(&s.len())
                && s.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_.$-".contains(&b))
        };
        if ok(name) && module.is_none_or(ok) {
            Ok(Self {
                symbol: Symbol { module, name },
                offset_bytes,
            })
        } else {
            Err(BadPlace::Symbol)
        }
    }
}

impl core::fmt::Display for Symbol<'_> {
    /// As the kernel's kprobe interface takes it: a module's name has underscores where its file may have dashes.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if let Some(module) = self.module {
            for (i, part) in module.split('-').enumerate() {
                write!(f, "{}{part}", if i == 0 { "" } else { "_" })?;
            }
            f.write_str(":")?;
        }
        f.write_str(self.name)
    }
}

impl core::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(&self.symbol, f)?;
        match self.offset_bytes {
            0 => Ok(()),
            offset => write!(f, "+{offset:#x}"),
        }
    }
}

fn parse_offset(text: &str) -> Option<u32> {
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(hex) => (hex, 16),
        None => (text, 10),
    };
    // from_str_radix would take a sign.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()
}
