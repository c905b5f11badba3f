#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Opens dumps with drgn and with libkdumpfile, and compares what they read with the raw vmcore.

    readers.py [--incomplete PERCENT] RAW DUMP...

Every page of RAM is read from RAW and from each DUMP, by both readers. A page must have the same bytes or be left out; in an
ELF dump what is left out reads as zeros. All DUMPs are of one level, so the same pages must be left out of all of them.
--incomplete: the first DUMP is whole, the others were cut short; the n-th of them must have at least n times PERCENT of its
pages. Exit status 1 when anything is not as it should be.
"""

import argparse
import sys

import drgn
import kdumpfile

from oracle import PAGE, ram_ranges

ZEROS = bytes(PAGE)


class Drgn:
    name = "drgn"

    def __init__(self, path):
        self.program = drgn.Program()
        self.program.set_core_dump(path)

    def page(self, pfn):
        try:
            return self.program.read(pfn * PAGE, PAGE, True)
        except drgn.FaultError:
            return None

    def vmcoreinfo(self):
        return self.program["VMCOREINFO"].string_() if "VMCOREINFO" in self.program else None


class Libkdumpfile:
    name = "libkdumpfile"
    absent = (kdumpfile.exceptions.NoDataException,)

    def __init__(self, path):
        self.file = kdumpfile.kdumpfile(path)
        self.file.attr["addrxlat.ostype"] = "linux"
        if is_elf(path):
            # As in drgn: what a segment has in memory and not in the file is zero.
            self.file.attr["file.zero_excluded"] = 1

    def page(self, pfn):
        try:
            return bytes(self.file.read(kdumpfile.KDUMP_MACHPHYSADDR, pfn * PAGE, PAGE))
        except self.absent:
            return None

    def vmcoreinfo(self):
        return memoryview(self.file.attr.linux.vmcoreinfo.raw).tobytes()


def is_elf(path):
    with open(path, "rb") as f:
        return f.read(4) == b"\x7fELF"


def read(reader, raw, ranges):
    """Pages that are there, pages that are not, pages with other bytes."""
    there, absent, different = set(), set(), set()
    for start, end in ranges:
        for pfn in range(start, end):
            page = reader.page(pfn)
            if page is None:
                absent.add(pfn)
            elif page == raw[pfn]:
                there.add(pfn)
            else:
                different.add((pfn, page == ZEROS))
    return there, absent, different


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--incomplete", type=int)
    parser.add_argument("raw")
    parser.add_argument("dumps", nargs="+")
    options = parser.parse_args()
    if options.incomplete is not None:
        # Its word for a descriptor that was never written.
        Libkdumpfile.absent += (kdumpfile.exceptions.CorruptException,)
    ranges = ram_ranges(options.raw)
    source = Drgn(options.raw)
    raw = {pfn: source.page(pfn) for start, end in ranges for pfn in range(start, end)}
    note = Libkdumpfile(options.raw).vmcoreinfo()
    status = 0
    kept = None
    for number, path in enumerate(options.dumps):
        for kind in (Drgn, Libkdumpfile):
            reader = kind(path)
            there, absent, different = read(reader, raw, ranges)
            zeroed = {pfn for pfn, zero in different if zero}
            wrong = {pfn for pfn, zero in different if not zero}
            left_out = zeroed if is_elf(path) else absent
            problems = []
            if wrong or (zeroed and not is_elf(path)):
                problems.append(f"{len(different)} pages differ, first {min(different)}")
            if is_elf(path):
                # Pages of zeros are left out and read as such.
                there -= {pfn for pfn in there if raw[pfn] == ZEROS}
                if absent:
                    problems.append(f"{len(absent)} pages cannot be read")
            present = {pfn for pfn in there if raw[pfn] != ZEROS}
            kept = present if kept is None else kept
            if options.incomplete is None or number == 0:
                if present != kept:
                    problems.append(f"{len(present ^ kept)} pages are in one dump of this level and not in another")
            elif not present < kept or 100 * len(present) < number * options.incomplete * len(kept):
                problems.append(f"{len(present)} pages of {len(kept)}")
            if isinstance(reader, Libkdumpfile) and reader.vmcoreinfo() != note:
                problems.append("another VMCOREINFO")
            verdict = "; ".join(problems) or "ok"
            print(f"{path}: {reader.name}: {len(there)} pages, {len(left_out)} left out: {verdict}")
            status |= bool(problems)
    sys.exit(status)


if __name__ == "__main__":
    main()
