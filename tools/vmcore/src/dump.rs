// SPDX-License-Identifier: GPL-2.0-or-later
//! A dump as a whole: opened whatever its format, with virtual memory and VMCOREINFO.

use crate::addr::{PAGE_SIZE, Pfn, PhysAddr, VirtAddr};
use crate::bytes::u64_at;
use crate::dmesg;
use crate::elf::Elf;
use crate::error::{Error, Result};
use crate::flattened::{self, Flattened};
use crate::image::{Format, Image};
use crate::kdump::{self, Kdump};
use crate::memory::Memory;
use crate::notes::{self, Notes};
use crate::pages::map::Bits;
use crate::paging::{Mapping, Paging, page_of};
use crate::prstatus::{self, PrStatus};
use crate::source::{FileSource, Map, ReadAt};
use crate::split::SplitSet;
use crate::symbols::Symbols;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, OnceLock};
use vmcoreinfo::Vmcoreinfo;

/// An opened dump. Reading goes through shared references and may happen on several threads.
pub struct Dump {
    image: Box<dyn Image>,
    /// The image's notes with a remark behind them.
    remarked: Option<Vec<u8>>,
    info: Vmcoreinfo,
    paging: OnceLock<Paging>,
    tlb: Mutex<Tlb>,
    symbols: OnceLock<Symbols>,
}

/// Owner and type of our note; the type is none of those that readers look for without looking at the owner.
const REMARK_OWNER: &[u8] = b"KDUMPKIT";
const REMARK_TYPE: u32 = 0x6b64_0001;

/// Translations of the pages that were read last.
type Tlb = Vec<(u64, u64)>;
const TLB_ENTRIES: usize = 256;

impl Dump {
    /// Opens a dump: an ELF core (/proc/vmcore, /proc/kcore, QEMU's) or a kdump-compressed file.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be opened, [`Error::UnknownFormat`], and what the formats' readers say about
    /// corrupt or truncated files.
    pub fn open(path: impl AsRef<Path>) -> Result<Dump> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|source| Error::Io {
            what: format!("opening {}", path.display()),
            source,
        })?;
        Dump::from_source(FileSource::new(file)?)
    }

    /// Opens the files of a split dump as one.
    ///
    /// # Errors
    /// As [`Dump::open`], and files that do not make a whole.
    pub fn open_split(paths: &[impl AsRef<Path>]) -> Result<Dump> {
        let mut files = Vec::new();
        for path in paths {
            let path = path.as_ref();
            let file = File::open(path).map_err(|source| Error::Io {
                what: format!("opening {}", path.display()),
                source,
            })?;
            files.push(Kdump::new(FileSource::new(file)?)?);
        }
        Dump::from_image(Box::new(SplitSet::new(files)?))
    }

    /// Opens a dump from any source of bytes.
    ///
    /// # Errors
    /// As [`Dump::open`].
    pub fn from_source(source: impl ReadAt + 'static) -> Result<Dump> {
        let mut start = vec![0; source.len().min(16) as usize];
        source.read_at(0, &mut start, "start of the dump")?;
        let image: Box<dyn Image> = if start.starts_with(b"\x7fELF") {
            Box::new(Elf::new(source)?)
        } else if start.starts_with(kdump::SIGNATURE) {
            Box::new(Kdump::new(source)?)
        } else if start == flattened::SIGNATURE {
            // One level only: a flattened file inside a flattened file is no dump.
            let inner = Flattened::new(source)?;
            let mut start = [0; 8];
            inner.read_at(0, &mut start, "start of the dump in a flattened file")?;
            match start == *kdump::SIGNATURE {
                true => Box::new(Kdump::new(inner)?),
                false => Box::new(Elf::new(inner)?),
            }
        } else {
            return Err(Error::UnknownFormat { start });
        };
        Dump::from_image(image)
    }

    /// Adds VMCOREINFO and address translation to an image.
    ///
    /// # Errors
    /// [`Error::Vmcoreinfo`] when the note does not parse. A dump without the note opens, with an empty text.
    pub fn from_image(image: Box<dyn Image>) -> Result<Dump> {
        let note = Notes::new(image.notes()).find(|note| note.name == b"VMCOREINFO");
        let text = note
            .map(|note| note.desc)
            .or(image.vmcoreinfo_text())
            .unwrap_or_default();
        let info = Vmcoreinfo::parse(text)?;
        Ok(Dump {
            image,
            remarked: None,
            info,
            paging: OnceLock::new(),
            tlb: Mutex::new(Vec::new()),
            symbols: OnceLock::new(),
        })
    }

    /// Replaces the layout, for a `-i` file laid over the note.
    pub fn set_vmcoreinfo(&mut self, info: Vmcoreinfo) {
        self.info = info;
        self.paging = OnceLock::new();
        self.tlb = Mutex::new(Vec::new());
        self.symbols = OnceLock::new();
    }

    /// The VMCOREINFO of the crashed kernel.
    pub fn vmcoreinfo(&self) -> &Vmcoreinfo {
        &self.info
    }

    /// Fills `buf` with physical memory.
    ///
    /// # Errors
    /// [`Error::Absent`] for the first byte that the dump does not have.
    pub fn read_phys(&self, addr: PhysAddr, buf: &mut [u8]) -> Result<()> {
        self.image.read_phys(addr, buf)
    }

    /// Fills `buf` with kernel virtual memory, through the page tables of the dump.
    ///
    /// # Errors
    /// [`Error::NotMapped`], [`Error::Absent`], or a VMCOREINFO without page tables.
    pub fn read_virt(&self, addr: VirtAddr, buf: &mut [u8]) -> Result<()> {
        let (mut at, mut rest) = (addr, buf);
        while !rest.is_empty() {
            let mapping = self.translate(at)?;
            let bytes = mapping.bytes_left.min(rest.len() as u64);
            let (now, later) = rest.split_at_mut(bytes as usize);
            self.image.read_phys(mapping.phys, now)?;
            at = VirtAddr(at.0.wrapping_add(bytes));
            rest = later;
        }
        Ok(())
    }

    /// The physical address behind a virtual one.
    ///
    /// # Errors
    /// As [`Dump::read_virt`].
    pub fn translate(&self, addr: VirtAddr) -> Result<Mapping> {
        let (page, within) = (page_of(addr), addr.0 % PAGE_SIZE);
        let slot = (page / PAGE_SIZE) as usize % TLB_ENTRIES;
        // A panic of another thread cannot leave a half-written entry behind.
        let lock = || self.tlb.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(&(cached, phys)) = lock().get(slot) {
            if cached == page {
                return Ok(Mapping {
                    phys: PhysAddr(phys + within),
                    bytes_left: PAGE_SIZE - within,
                });
            }
        }
        let paging = match self.paging.get() {
            Some(paging) => paging,
            None => {
                let paging = Paging::new(&self.info)?;
                self.paging.get_or_init(|| paging)
            }
        };
        let mapping = paging.translate(addr, |entry| {
            let mut raw = [0; 8];
            self.image.read_phys(entry, &mut raw)?;
            Ok(u64_at(&raw, 0))
        })?;
        let mut tlb = lock();
        tlb.resize(TLB_ENTRIES, (u64::MAX, 0));
        tlb[slot] = (page, mapping.phys.0.wrapping_sub(within));
        Ok(mapping)
    }

    /// The kernel log, one `[seconds.micros] text` a line.
    ///
    /// # Errors
    /// A missing key, or the log is not in the dump.
    pub fn dmesg(&self) -> Result<String> {
        dmesg::dmesg(self)
    }

    /// The kernel's symbol table, decoded from the dump on first use.
    ///
    /// # Errors
    /// A missing key, or the table is not in the dump.
    pub fn symbols(&self) -> Result<&Symbols> {
        if let Some(symbols) = self.symbols.get() {
            return Ok(symbols);
        }
        let symbols = Symbols::read(self)?;
        Ok(self.symbols.get_or_init(|| symbols))
    }

    /// Registers of every CPU that saved some, in the order of the notes.
    pub fn prstatus(&self) -> Vec<PrStatus> {
        let mut statuses = prstatus::parse(self.image.notes());
        if let Ok(symbols) = self.symbols() {
            prstatus::number_cpus(&mut statuses, self, symbols);
        }
        statuses
    }

    /// Whether the writer marked the dump as cut short.
    pub fn is_incomplete(&self) -> bool {
        self.image.is_incomplete()
    }

    /// The file's format.
    pub fn format(&self) -> Format {
        self.image.format()
    }

    /// The dump level that the file states.
    pub fn dump_level(&self) -> Option<u32> {
        self.image.dump_level()
    }

    /// Page frames that had RAM.
    ///
    /// # Errors
    /// Reading the file.
    pub fn ram(&self) -> Result<Vec<Range<Pfn>>> {
        self.image.ram()
    }

    /// Which pages of a block had RAM, and which of them the dump has.
    ///
    /// # Errors
    /// Reading the file.
    pub fn block(&self, block: u64) -> Result<(Bits, Bits)> {
        self.image.block(block)
    }

    /// Fills `buf` with whole pages, all of them in the dump.
    ///
    /// # Errors
    /// As [`Dump::read_phys`].
    pub fn read_pages(&self, pfn: Pfn, buf: &mut [u8]) -> Result<()> {
        self.image.read_pages(pfn, buf)
    }

    /// Maps the neighbourhood of a page, where that is better than reading.
    pub fn window(&self, pfn: Pfn) -> Option<(Pfn, Map)> {
        self.image.window(pfn)
    }

    /// The ELF notes as one PT_NOTE segment.
    pub fn notes(&self) -> &[u8] {
        self.remarked.as_deref().unwrap_or(self.image.notes())
    }

    /// What a filter had to say about this dump: that it went on although it did not know the kernel.
    pub fn remark(&self) -> Option<&str> {
        let note = Notes::new(self.notes()).find(|note| note.name == REMARK_OWNER);
        note.and_then(|note| std::str::from_utf8(note.desc).ok())
    }

    /// Adds a remark as an ELF note, so that every dump made of this one carries it, whatever its format.
    pub fn set_remark(&mut self, text: &str) {
        let mut notes = self.notes().to_vec();
        // The kernel may leave an end mark and padding behind its notes, where readers stop.
        notes.truncate(Notes::new(&notes).bytes());
        notes.extend(notes::encode(REMARK_OWNER, REMARK_TYPE, text.as_bytes()));
        self.remarked = Some(notes);
    }
}

impl Memory for Dump {
    fn read_virt(&self, addr: VirtAddr, buf: &mut [u8]) -> Result<()> {
        Dump::read_virt(self, addr, buf)
    }

    fn vmcoreinfo(&self) -> &Vmcoreinfo {
        &self.info
    }
}
