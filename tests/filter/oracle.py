#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Independent oracle: which pages of a raw vmcore a filtered dump must not miss.

    oracle.py VMLINUX RAW OURS [PEER...]

From the raw vmcore drgn walks the kernel's own structures (never the page classes of kdumpkit): slab objects, page
tables, kernel stacks, vmalloc areas, per-CPU areas, modules, the kernel image, struct page itself, compound kernel
pages. Every page found must be in the filtered dump, with the same bytes. Exit status 1 when OURS misses any; what other
programs' dumps miss is printed beside it.
"""

import collections
import struct
import sys

import drgn
import drgn.helpers.linux.slab as slab_helpers
from drgn import FaultError
from drgn.helpers.linux.mm import (
    PageSlab,
    follow_phys,
    for_each_page,
    for_each_vmap_area,
)
from drgn.helpers.linux.module import for_each_module
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.slab import (
    for_each_slab_cache,
    slab_cache_for_each_allocated_object,
)

PAGE = 4096
ADDRESS = 0x000F_FFFF_FFFF_F000


class Oracle:
    def __init__(self, prog, ranges):
        self.prog = prog
        self.ranges = ranges
        self.found = collections.defaultdict(set)
        self.skipped = collections.Counter()
        self.cache = {}

    def in_ram(self, pfn):
        return any(start <= pfn < end for start, end in self.ranges)

    def pfn_of(self, addr):
        page = addr & ~(PAGE - 1)
        if page not in self.cache:
            try:
                self.cache[page] = follow_phys(self.init_mm, page).value_() >> 12
            except (FaultError, NotImplementedError):
                self.cache[page] = None
        return self.cache[page]

    def virt(self, what, addr, size):
        """All pages of RAM behind [addr, addr+size)."""
        for page in range(addr & ~(PAGE - 1), addr + size, PAGE):
            pfn = self.pfn_of(page)
            if pfn is None:
                self.skipped[what] += 1
            elif self.in_ram(pfn):
                self.found[what].add(pfn)

    def slabs(self):
        # drgn looks at every page of the machine once a cache; looking once for all caches is enough.
        slab_pages = []
        for page in for_each_page(self.prog):
            try:
                if PageSlab(page):
                    slab_pages.append(page)
            except FaultError:
                pass
        slab_helpers.for_each_page = lambda _prog: slab_pages
        for cache in for_each_slab_cache(self.prog):
            size = cache.size.value_()
            try:
                for obj in slab_cache_for_each_allocated_object(cache, "void"):
                    self.virt("slab objects", obj.value_(), size)
            except FaultError as error:
                print(f"  slab {cache.name.string_().decode()}: {error}")
                self.skipped["slab objects"] += 1

    def page_tables(self):
        levels = 5 if self.prog["__pgtable_l5_enabled"].value_() else 4
        seen = set()
        pgds = {self.pfn_of(self.init_mm.pgd.value_())}
        for task in for_each_task(self.prog):
            for mm in (task.mm, task.active_mm):
                if mm:
                    pgds.add(self.pfn_of(mm.pgd.value_()))
        todo = [(pfn, levels) for pfn in pgds if pfn is not None]
        while todo:
            pfn, level = todo.pop()
            if (pfn, level) in seen or not self.in_ram(pfn):
                continue
            seen.add((pfn, level))
            self.found["page tables"].add(pfn)
            if level == 1:
                continue
            for entry in struct.unpack("<512Q", self.prog.read(pfn * PAGE, PAGE, True)):
                if entry & 1 and not (level <= 3 and entry & 0x80):
                    todo.append(((entry & ADDRESS) >> 12, level - 1))

    def stacks(self):
        size = 4 * PAGE
        for task in for_each_task(self.prog):
            self.virt("kernel stacks", task.stack.value_(), size)
            self.virt("kernel stacks", task.value_(), drgn.sizeof(task.type_.type))

    def vmalloc(self):
        VM_ALLOC = 2
        for area in for_each_vmap_area(self.prog):
            vm = area.vm
            if not vm or not vm.flags.value_() & VM_ALLOC:
                continue
            self.virt("vmalloc", vm.addr.value_(), vm.nr_pages.value_() * PAGE)

    def percpu(self):
        # The rest of a unit went to the page allocator at boot (pcpu_embed_first_chunk()).
        start = self.prog["pcpu_base_addr"].value_()
        chunk = self.prog["pcpu_first_chunk"]
        size = chunk.base_addr.value_() + chunk.nr_pages.value_() * PAGE - start
        offsets = self.prog["pcpu_unit_offsets"]
        for cpu in range(self.prog["nr_cpu_ids"].value_()):
            self.virt("per-CPU areas", start + offsets[cpu].value_(), size)

    def modules(self):
        for module in for_each_module(self.prog):
            for memory in module.mem:
                if memory.base:
                    self.virt("modules", memory.base.value_(), memory.size.value_())

    def image(self):
        # The gaps between these sections and the init sections went to the page allocator at boot.
        for first, last in (
            ("_text", "_etext"),
            ("__start_rodata", "__end_rodata"),
            ("_sdata", "_edata"),
            ("__bss_start", "__start_bss_decrypted_unused"),
        ):
            start = self.prog.symbol(first).address
            self.virt("kernel image", start, self.prog.symbol(last).address - start)

    def memmap(self):
        vmemmap = self.prog["vmemmap_base"].value_()
        for start, end in self.ranges:
            self.virt("struct page", vmemmap + start * 64, (end - start) * 64)

    def compound_kernel_pages(self):
        """Heads with a page type other than hugetlb: slab, large kmalloc, page tables, zsmalloc."""
        vmemmap = self.prog["vmemmap_base"].value_()
        for start, end in self.ranges:
            raw = self.prog.read(vmemmap + start * 64, (end - start) * 64)
            for i in range(end - start):
                flags, = struct.unpack_from("<Q", raw, i * 64)
                kind = raw[i * 64 + 51]
                if not 0xF2 <= kind <= 0xFE or kind == 0xF4 or kind == 0xF7:
                    continue
                pages = 1
                if flags & 0x40:
                    pages = 1 << raw[(i + 1) * 64]
                self.found["typed pages"].update(range(start + i, start + i + pages))

    def run(self):
        self.init_mm = self.prog["init_mm"].address_of_()
        for step in (
            self.image,
            self.modules,
            self.memmap,
            self.percpu,
            self.stacks,
            self.page_tables,
            self.vmalloc,
            self.compound_kernel_pages,
            self.slabs,
        ):
            try:
                step()
            except (FaultError, LookupError, AttributeError) as error:
                print(f"  {step.__name__}: not walked: {error!r}")
                self.skipped[step.__name__] += 1


def ram_ranges(path):
    with open(path, "rb") as f:
        head = f.read(64)
        phoff, = struct.unpack_from("<Q", head, 32)
        count, = struct.unpack_from("<H", head, 56)
        f.seek(phoff)
        table = f.read(56 * count)
    ranges = []
    for i in range(count):
        kind, _, _, _, paddr, filesz, memsz, _ = struct.unpack_from("<IIQQQQQQ", table, i * 56)
        if kind == 1 and memsz:
            ranges.append((paddr // PAGE, (paddr + filesz + PAGE - 1) // PAGE))
    merged = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def check(raw, found, path):
    dump = drgn.Program()
    dump.set_core_dump(path)
    lost, changed = set(), set()
    for pfn in set().union(*found.values()):
        try:
            page = dump.read(pfn * PAGE, PAGE, True)
        except FaultError:
            lost.add(pfn)
            continue
        if page != raw.read(pfn * PAGE, PAGE, True):
            changed.add(pfn)
    return lost, changed


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    vmlinux, raw_path, *dumps = sys.argv[1:]
    raw = drgn.Program()
    raw.set_core_dump(raw_path)
    try:
        raw.load_debug_info([vmlinux])
    except drgn.MissingDebugInfoError as error:
        print(f"  (modules without debug info: {str(error).splitlines()[0]})")
    oracle = Oracle(raw, ram_ranges(raw_path))
    oracle.run()
    union = set().union(*oracle.found.values())
    print(f"{raw_path}: {len(union)} pages must be kept")
    for what, pfns in oracle.found.items():
        print(f"  {what:<20} {len(pfns):>8} pages, {oracle.skipped[what]} not translated")
    walked = len(oracle.found) >= 9
    if not walked:
        print(f"only {len(oracle.found)} of 9 kinds of kernel memory were walked")
    results = {path: check(raw, oracle.found, path) for path in dumps}
    for path, result in results.items():
        for word, pfns in zip(("missing", "different"), result):
            print(f"{path}: {len(pfns)} pages {word}")
            for what, wanted in oracle.found.items():
                if wanted & pfns:
                    print(f"  {what:<20} {len(wanted & pfns):>8} {word}, first {min(wanted & pfns):#x}")
    sys.exit(not walked or any(results[dumps[0]]))


if __name__ == "__main__":
    main()
