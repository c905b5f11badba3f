#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the vmcore of a machine with much memory and little in it, as a sparse file.

    sparse.py GIB FILE

Page tables, sections, VMCOREINFO and struct pages as Linux 7.x has them on x86_64: free blocks of 4 MiB (order 10, nine tenths
of all), blocks of page cache and of anonymous memory as folios of 2 MiB, and a block of kernel memory with contents now and
then. Struct pages that are zero throughout stay holes, and so does the memory that nobody uses.
"""

import struct
import sys

PAGE = 4096
IMAGE, DIRECT_MAP, VMEMMAP = 0xFFFFFFFF80000000, 0xFFFF888000000000, 0xFFFFEA0000000000
PGD, DIRECT, PMD_ROOT, IMAGE_PUD, IMAGE_PMD, ROOTS, SECTIONS, PMDS = (n << 12 for n in (2, 3, 4, 6, 7, 8, 16, 256))
BLOCK_PAGES, STRUCT_BYTES, MEMMAP = 1024, 64, 64 << 20
LRU, HEAD, SWAPBACKED, BUDDY, NO_TYPE = 1 << 5, 1 << 6, 1 << 17, 0xF0000000, 0xFFFFFFFF

INFO = """OSRELEASE=7.3.4-sparse
PAGESIZE=4096
SYMBOL(init_top_pgt)=ffffffff80002000
SYMBOL(_stext)=ffffffff80200000
SYMBOL(mem_section)=ffff888000008000
LENGTH(mem_section)=4096
SIZE(mem_section)=32
OFFSET(mem_section.section_mem_map)=0
NUMBER(SECTION_SIZE_BITS)=27
NUMBER(MAX_PHYSMEM_BITS)=46
SIZE(page)=64
OFFSET(page.flags)=0
OFFSET(page.mapping)=24
OFFSET(page._mapcount)=48
OFFSET(page.private)=40
OFFSET(page.compound_info)=8
NUMBER(PG_lru)=5
NUMBER(PG_private)=14
NUMBER(PG_swapcache)=10
NUMBER(PG_swapbacked)=17
NUMBER(PG_hwpoison)=21
NUMBER(PG_head_mask)=64
LENGTH(zone.free_area)=11
NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-268435456
NUMBER(PAGE_HUGETLB_MAPCOUNT_VALUE)=-201326592
NUMBER(PAGE_SLAB_MAPCOUNT_VALUE)=-184549376
NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)=-251658240
NUMBER(PAGE_UNACCEPTED_MAPCOUNT_VALUE)=-150994944
NUMBER(phys_base)=0
NUMBER(pgtable_l5_enabled)=0
"""


def note(name, kind, text):
    pad = lambda data: data + bytes(-len(data) % 4)
    return struct.pack("<III", len(name) + 1, len(text), kind) + pad(name + b"\0") + pad(text)


def page(flags, info=0, mapping=0, private=0, kind=NO_TYPE):
    return struct.pack("<QQQQQQIIQ", flags, info, 0, mapping, 0, private, kind, 1, 0)


def folio(pages, mapping, flags):
    tail = page(0, info=1)
    return page(flags | HEAD, mapping=mapping) + page(9, info=1) + tail * (pages - 2)


class Machine:
    """Physical memory in a sparse file behind its ELF header."""

    def __init__(self, gib, file):
        self.pages, self.file = gib << 18, file
        notes = note(b"VMCOREINFO", 0, INFO.encode())
        self.at = (64 + 2 * 56 + len(notes) + PAGE - 1) & ~(PAGE - 1)
        size = gib << 30
        ident = b"\x7fELF\x02\x01\x01" + bytes(9)
        header = ident + struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
        header += struct.pack("<IIQQQQQQ", 4, 0, 64 + 2 * 56, 0, 0, len(notes), len(notes), 0)
        header += struct.pack("<IIQQQQQQ", 1, 7, self.at, DIRECT_MAP, 0, size, size, 0)
        file.truncate(self.at + size)
        file.write(header + notes)

    def put(self, at, data):
        self.file.seek(self.at + at)
        self.file.write(data)

    def words(self, at, *words):
        self.put(at, struct.pack(f"<{len(words)}Q", *words))

    def tables(self):
        index = lambda address, level: (address >> (12 + 9 * (level - 1)) & 511) * 8
        gib = self.pages >> 18
        self.words(PGD + index(DIRECT_MAP, 4), DIRECT | 1)
        self.words(DIRECT + index(DIRECT_MAP, 3), *(i << 30 | 0x81 for i in range(gib)))
        self.words(PGD + index(IMAGE, 4), IMAGE_PUD | 1)
        self.words(IMAGE_PUD + index(IMAGE, 3), IMAGE_PMD | 1)
        self.words(IMAGE_PMD, *(i << 21 | 0x81 for i in range(4)))
        # A GiB of struct pages for each page of middle entries.
        huge = (self.pages * STRUCT_BYTES + (2 << 20) - 1) >> 21
        self.words(PGD + index(VMEMMAP, 4), PMD_ROOT | 1)
        self.words(PMD_ROOT + index(VMEMMAP, 3), *(PMDS + i * PAGE | 1 for i in range((huge + 511) // 512)))
        self.words(PMDS, *(MEMMAP + (i << 21) | 0x81 for i in range(huge)))
        sections = self.pages >> 15
        self.words(ROOTS, *(DIRECT_MAP + SECTIONS + i * PAGE for i in range((sections + 127) // 128)))
        for i in range(sections):
            self.words(SECTIONS + i * 32, VMEMMAP | 7)

    def memory(self):
        free = page(0, private=10, kind=BUDDY)
        cache = folio(512, 0xFFFF888000001000, LRU) * 2
        user = folio(512, 0xFFFF888000001001, LRU | SWAPBACKED) * 2
        kernel = page(0) * BLOCK_PAGES
        contents = b"".join(struct.pack("<QQ", DIRECT_MAP + i * 192, i % 7) for i in range(PAGE // 16))
        # What holds the tables and struct pages themselves is the kernel's.
        reserved = (MEMMAP + self.pages * STRUCT_BYTES) // PAGE // BLOCK_PAGES + 1
        for block in range(self.pages // BLOCK_PAGES):
            kinds = {0: cache, 1: user, 2: kernel}
            data = kernel if block < reserved else kinds.get(block % 32, free)
            self.put(MEMMAP + block * BLOCK_PAGES * STRUCT_BYTES, data)
            if block >= reserved and block % 32 == 2:
                for i in range(16):
                    self.put((block * BLOCK_PAGES + i * 64) * PAGE, contents)


def main():
    gib, path = int(sys.argv[1]), sys.argv[2]
    with open(path, "wb") as file:
        machine = Machine(gib, file)
        machine.tables()
        machine.memory()


main()
