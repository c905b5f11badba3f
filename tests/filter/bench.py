#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""kdumpkit filter beside makedumpfile: wall time, CPU time, peak memory and size, as medians and ratios.

    bench.py [--runs N] [--rst FILE] [--svg FILE] [--rows FILE] [--levels 31,15,1] [--codecs z,l,c] KDUMPKIT BUILDROOT VMCORE...

All read the same raw vmcore in turns, so that load on the machine hits all; makedumpfile runs out of BUILDROOT with the -i
file that makes 1.7.x right at level 31 (see Documentation/filter.rst), on one thread, which is its best. It finds no free
pages on 7.x, so at level 31 it writes more; level 15 has the same pages in both. kdumpkit runs with all CPUs, once with
--no-verify, which is what makedumpfile does, and once as people use it, reading back and comparing. Nobody waits for the disk:
nothing syncs, the vmcore is read once before the first run, and what a run has left to be written is written before the next.
All run with real-time priority, where that is allowed, so that whatever else the machine does takes no CPU from them.

With --rows FILE the results are added to those of earlier runs in FILE, and the table and chart show all.
"""

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import time


def run(command):
    """Wall seconds, CPU seconds and peak MiB of one command."""
    os.sync()
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        try:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(5))
        except PermissionError:
            pass
        os.execv(command[0], command)
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        sys.exit(f"failed with status {os.waitstatus_to_exitcode(status)}: {' '.join(command)}")
    return time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def makedumpfile(root):
    """The build root's program, through its own loader: no chroot in the measured time."""
    loader = os.path.join(root, "lib64/ld-linux-x86-64.so.2")
    libraries = os.path.join(root, "usr/lib/x86_64-linux-gnu")
    return [os.path.realpath(loader), "--library-path", libraries, os.path.join(root, "usr/bin/makedumpfile")]


def read_once(path):
    """Brings a file into the page cache; holes of a sparse one are left out."""
    with open(path, "rb") as f:
        at = 0
        while True:
            try:
                at = os.lseek(f.fileno(), at, os.SEEK_DATA)
            except OSError:
                return
            end = os.lseek(f.fileno(), at, os.SEEK_HOLE)
            while at < end:
                at += len(os.pread(f.fileno(), min(end - at, 1 << 20), at))


def info_file(folder, vmcore):
    with open(vmcore, "rb") as f:
        release = re.search(rb"OSRELEASE=([^\n]+)", f.read(1 << 20)).group(1).decode()
    path = os.path.join(folder, release)
    with open(path, "w") as f:
        f.write(f"OSRELEASE={release}\nPAGESIZE=4096\nOFFSET(page.compound_head)=8\n")
    return path


def measure(options, vmcore, level, codec, folder):
    out = os.path.join(folder, "dump")
    info = info_file(folder, vmcore)
    common = ["--message-level", "0", f"-{codec}", "-d", str(level)]
    ours = [options.kdumpkit, "filter", "--no-sync", *common]
    commands = {
        "kdumpkit": [*ours, "--no-verify", vmcore, out],
        "verified": [*ours, vmcore, out],
        "makedumpfile": [*makedumpfile(options.buildroot), "-i", info, *common, vmcore, out],
    }
    if options.alone:
        del commands["makedumpfile"]
    results = {name: [] for name in commands}
    sizes = {}
    for _ in range(options.runs):
        for name, command in commands.items():
            results[name].append(run(command))
            sizes[name] = os.path.getsize(out)
            os.unlink(out)
    rows = {}
    for name, runs in results.items():
        wall, cpu, rss = (statistics.median(column) for column in zip(*runs))
        rows[name] = (wall, cpu, rss, sizes[name] / 1e6)
    return rows


def table(rows):
    lines = [
        ".. list-table::",
        "   :header-rows: 1",
        "",
        "   * - vmcore, level, codec",
        "     - wall s (ours / makedumpfile / ratio)",
        "     - the same, verified",
        "     - CPU s",
        "     - peak MiB",
        "     - size MB",
    ]
    for label, (ours, verified, theirs) in rows.items():
        cell = lambda i, digits: f"{ours[i]:.{digits}f} / {theirs[i]:.{digits}f}"
        lines += [
            f"   * - {label}",
            f"     - {cell(0, 2)} / **{ours[0] / theirs[0]:.2f}**",
            f"     - {verified[0]:.2f}, **{verified[0] / theirs[0]:.2f}**",
            f"     - {cell(1, 2)}",
            f"     - {cell(2, 0)}",
            f"     - {cell(3, 1)}",
        ]
    return "\n".join(lines) + "\n"


def chart(rows):
    """Wall time of kdumpkit as a share of makedumpfile's, one bar a row."""
    height = 40 + 26 * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="720" height="{height}" font-family="sans-serif" font-size="13">',
        '<text x="10" y="20">wall time without verification, makedumpfile = 1</text>',
    ]
    for i, (label, (ours, _, theirs)) in enumerate(rows.items()):
        y = 36 + 26 * i
        ratio = ours[0] / theirs[0]
        parts += [
            f'<text x="10" y="{y + 14}">{label}</text>',
            f'<rect x="240" y="{y}" width="400" height="18" fill="#ddd"/>',
            f'<rect x="240" y="{y}" width="{min(ratio, 1.15) * 400:.0f}" height="18" fill="#2a6f97"/>',
            f'<text x="{250 + min(ratio, 1.15) * 400:.0f}" y="{y + 14}">{ratio:.2f}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rst")
    parser.add_argument("--svg")
    parser.add_argument("--rows")
    parser.add_argument("--alone", action="store_true", help="without makedumpfile")
    parser.add_argument("--levels", default="31,15,1")
    parser.add_argument("--codecs", default="z,l,c")
    parser.add_argument("kdumpkit")
    parser.add_argument("buildroot")
    parser.add_argument("vmcore", nargs="+")
    options = parser.parse_args()
    rows = {}
    if options.rows and os.path.exists(options.rows):
        with open(options.rows) as f:
            rows = json.load(f)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(options.vmcore[0]))) as folder:
        for vmcore in options.vmcore:
            read_once(vmcore)
            gib = os.path.getsize(vmcore) / (1 << 30)
            for level in options.levels.split(","):
                for codec in options.codecs.split(","):
                    both = measure(options, vmcore, int(level), codec, folder)
                    if options.alone:
                        for name, (wall, cpu, rss, size) in both.items():
                            print(f"{gib:.1f} GiB, -d {level}, -{codec}, {name}: {wall:.2f} s, CPU {cpu:.2f} s, peak {rss:.0f} MiB, {size:.1f} MB")
                        continue
                    label = f"{gib:.1f} GiB, -d {level}, -{codec}"
                    rows[label] = (both["kdumpkit"], both["verified"], both["makedumpfile"])
                    print(" ".join(line[7:] for line in table({label: rows[label]}).splitlines()[-6:]), flush=True)
    if options.rows:
        with open(options.rows, "w") as f:
            json.dump(rows, f, indent=1)
    for path, text in ((options.rst, table(rows)), (options.svg, chart(rows))):
        if path:
            with open(path, "w") as f:
                f.write(".. SPDX-License-Identifier: GPL-2.0-or-later\n\n" * (path == options.rst) + text)


if __name__ == "__main__":
    main()
