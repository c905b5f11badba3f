# SPDX-License-Identifier: GPL-2.0-or-later
"""Crashes the guests of tests/peers/run and prints what the captures cost, as a table.

guest.py FOLDER RELEASE [smallest]

Each run is a QEMU of its own on a throw-away overlay of the same prepared disk: boot, crash, capture, boot, judge the dump, power
off. Times are those at which this script reads the console's lines. Memory is the crashkernel= region (System RAM of the capture
kernel) without MemAvailable: at the beginning of the initramfs, with the packed copy that had to lie beside the unpacked one on
top, and the most that was seen until the dump was written. kdumpkit's /init looks every 20 ms and says it in its summary; for
the others it is read at both ends of the initramfs and then every 50 ms by sample.sh, which itself takes some 2 MiB.

ROUNDS= how many runs each, otherwise 3. QEMU= the command to run, otherwise qemu-system-x86_64.
"""

import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

FOLDER, RELEASE, SMALLEST = Path(sys.argv[1]), sys.argv[2], sys.argv[3:] == ["smallest"]
ROUNDS = int(os.environ.get("ROUNDS", "3"))
QEMU = shlex.split(os.environ.get("QEMU", "qemu-system-x86_64"))
PLENTY_MIB = 256
STEP_MIB = 16
# Nothing can be loaded into less.
TOO_SMALL_MIB = 64
# Seconds. Making kdump-tools' initramfs at the first boot takes longest, and nothing is said meanwhile.
DEADLINE_S = 900
SILENCE_S = 240
MIB = 1 << 20
CRASH = "Kernel panic - not syncing: sysrq triggered crash"
RESTART = "reboot: Restarting system"


@dataclass
class Tool:
    name: str
    # On its disk.
    initramfs: str
    # Console lines: its first act in the capture kernel, and the dump with its final name.
    begins: str
    named: str

    @property
    def folder(self):
        return FOLDER / self.name


OURS = Tool("kdumpkit", f"/var/lib/kdumpkit/{RELEASE}/capture.initramfs", '"stage":"capture"', '"event":"dump"')
PEERS = [
    Tool("kdump-tools", f"/var/lib/kdump/initrd.img-{RELEASE}", "running makedumpfile --dump-dmesg", "saved vmcore in"),
    Tool("dracut", f"/boot/capture-{RELEASE}.img", "running makedumpfile --dump-dmesg", "saved vmcore in"),
]
TOOLS = [OURS, *PEERS]


@dataclass
class Heard:
    """A guest's console: (seconds, line)."""

    lines: list = field(default_factory=list)

    def said(self, what):
        """What the guest's script said after "peers: WHAT", or None."""
        begin = f"peers: {what}"
        return next((line.split(begin, 1)[1].strip() for _, line in self.lines if begin in line), None)

    def crashed_at(self):
        return next((at for at, line in self.lines if CRASH in line), None)

    def seconds(self, what):
        """From the crash to the first line with `what` after it, or None."""
        crash = self.crashed_at()
        return next((at - crash for at, line in self.lines if crash is not None and at > crash and what in line), None)

    def good(self):
        return self.said("the dump is good") is not None

    def outcome(self):
        for word in ("the dump is good", "the dump is not good", "no dump", "not loaded"):
            if (more := self.said(word)) is not None:
                return f"{word} {more}".strip()
        return f"nothing more after: {self.lines[-1][1] if self.lines else 'nothing'}"


def boot(tool, label, disk, words):
    """One life of the guest, to its power-off or to the deadline."""
    command = [
        *QEMU, "-M", "q35", "-accel", "tcg", "-cpu", "max", "-m", "1024", "-smp", "2", "-nodefaults", "-display", "none",
        "-serial", "stdio", "-drive", f"file={disk},if=virtio,cache=unsafe",
        "-kernel", f"{tool.folder}/vmlinuz", "-initrd", f"{tool.folder}/initrd",
        "-append", f"root=LABEL=kdumpkit-root rw console=ttyS0 quiet panic=5 no_timer_check systemd.show_status=0 {words}",
        # iTCO_wdt finds QEMU's watchdog running and keeps it so: 60 s after the crashed kernel's last sign of life it would reset the
        # machine in mid-dump. What is measured here is how long a dump takes.
        "-global", "ICH9-LPC.noreboot=on",
    ]
    heard = Heard()
    log = FOLDER / f"{tool.name}-{label}.log"
    begun = time.monotonic()
    qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)

    def listen():
        with log.open("w") as out:
            for raw in qemu.stdout:
                line = raw.decode(errors="replace").strip()
                heard.lines.append((time.monotonic(), line))
                out.write(f"{time.monotonic() - begun:7.2f} {line}\n")
                out.flush()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        while qemu.poll() is None:
            now = time.monotonic()
            last = heard.lines[-1][0] if heard.lines else begun
            if now - begun > DEADLINE_S or now - last > SILENCE_S:
                break
            time.sleep(0.2)
    finally:
        if qemu.poll() is None:
            qemu.kill()
        qemu.wait()
        listener.join(10)
    return heard


def prepare(tool):
    """The first boot makes the initramfs; what is on the disk then is what every run begins with."""
    disk = tool.folder / "disk.img"
    heard = boot(tool, "prepare", f"{disk},format=raw", f"crashkernel={PLENTY_MIB}M peers.prepare")
    if heard.said("loaded") is None:
        sys.exit(f"{tool.name} loads nothing, see {FOLDER}/{tool.name}-prepare.log")


def crash(tool, label, crashkernel_mib=PLENTY_MIB):
    """A run from the prepared disk; begun anew where the guest never came to its crash: a busy machine's emulated timers."""
    overlay = FOLDER / "overlay.qcow2"
    create = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", (tool.folder / "disk.img").resolve(), overlay]
    for _ in range(3):
        subprocess.run(create, check=True)
        heard = boot(tool, label, f"{overlay},format=qcow2", f"crashkernel={crashkernel_mib}M")
        overlay.unlink()
        if heard.crashed_at() is not None or heard.said("not loaded") is not None:
            return heard
        print(f"{tool.name}: no crash: {heard.outcome()}", flush=True)
    sys.exit(f"{tool.name}: the guest does not come to its crash, see {FOLDER}/{tool.name}-{label}.log")


def sizes(tool):
    """Bytes of the initramfs as it is loaded, unpacked, and packed with zstd -19."""
    packed, unpacked = tool.folder / "initramfs", tool.folder / "unpacked"
    subprocess.run(["debugfs", "-R", f"dump {tool.initramfs} {packed}", tool.folder / "disk.img"], check=True, capture_output=True)
    shutil.rmtree(unpacked, ignore_errors=True)
    subprocess.run(["unmkinitramfs", packed, unpacked], check=True)
    # By inode: busybox has hundreds of names.
    stats = [path.stat() for path in unpacked.rglob("*") if path.is_file() and not path.is_symlink()]
    files = sum({stat.st_ino: stat.st_size for stat in stats}.values())
    again = "find . | LC_ALL=C sort | cpio --quiet -o -H newc | zstd -q -19 -T0 | wc -c"
    smallest = int(subprocess.run(again, shell=True, check=True, cwd=unpacked, capture_output=True).stdout)
    shutil.rmtree(unpacked)
    return packed.stat().st_size, files, smallest


def memory(tool, heard, packed):
    """Bytes that the capture kernel took: while it unpacked the initramfs, and at most since."""
    summary = heard.said("summary")
    if summary is not None:
        seen = json.loads(summary)["memory"]
        region, start, least = (seen[f"{name}_bytes"] for name in ("region", "available_at_start", "least_available"))
    else:
        region, start, *others = (int(kib) << 10 for kib in heard.said("memory").split())
        end, sampled = others
        least = min(start, end, sampled)
        print(f"{tool.name}: available {start / MIB:.1f} MiB at the beginning of the initramfs, {end / MIB:.1f} at its end, "
              f"then {sampled / MIB:.1f} at least", flush=True)
    return region - (start - packed), region - least


def measure(tool, rounds):
    """The rows of the table: medians of the rounds that left a good dump."""
    loaded, unpacked, packed = sizes(tool)
    took = [memory(tool, heard, loaded) for heard in rounds]
    median = statistics.median
    return {
        f"good dumps of {ROUNDS} crashes": len(rounds),
        "initramfs as loaded, MB": loaded / 1e6,
        "initramfs unpacked, MB": unpacked / 1e6,
        "initramfs packed with zstd -19, MB": packed / 1e6,
        "memory while the initramfs is unpacked, MiB": median(t[0] for t in took) / MIB,
        "most memory after that, MiB": median(t[1] for t in took) / MIB,
        "dump, MB": median(int(h.said("dump").split()[0]) for h in rounds) / 1e6,
        "crash to the first act of the capture, s": median(h.seconds(tool.begins) for h in rounds),
        "crash to the dump with its final name, s": median(h.seconds(tool.named) for h in rounds),
        "crash to restart, s": median(h.seconds(RESTART) for h in rounds),
    }


def smallest(tool):
    """The smallest crashkernel= in MiB, in steps, with which there is a good dump."""
    bad, good = TOO_SMALL_MIB, PLENTY_MIB
    while good - bad > STEP_MIB:
        middle = (good + bad) // 2 // STEP_MIB * STEP_MIB
        heard = crash(tool, f"{middle}M", middle)
        print(f"{tool.name} with crashkernel={middle}M: {heard.outcome()}", flush=True)
        good, bad = (middle, bad) if heard.good() else (good, middle)
    return good


def row(name, values):
    cells = f"{name:<46} {values[0]:8.1f}"
    print(cells + "".join(f" {value:12.1f} {values[0] / value:6.2f}" for value in values[1:]), flush=True)


def main():
    rounds = {tool.name: [] for tool in TOOLS}
    for tool in TOOLS:
        prepare(tool)
    # In turns, so that load on the machine hits all.
    for number in range(1, ROUNDS + 1):
        for tool in TOOLS:
            heard = crash(tool, str(number))
            print(f"round {number}: {tool.name}: {heard.outcome()}", flush=True)
            if heard.good():
                rounds[tool.name].append(heard)
    for tool in TOOLS:
        if not rounds[tool.name]:
            sys.exit(f"{tool.name} left no good dump, see {FOLDER}/{tool.name}-*.log")
    tables = [measure(tool, rounds[tool.name]) for tool in TOOLS]
    print(f"{'':<46} {OURS.name:>8}" + "".join(f" {tool.name:>12} {'ratio':>6}" for tool in PEERS))
    for name in tables[0]:
        row(name, [table[name] for table in tables])
    if SMALLEST:
        row("smallest crashkernel=, MiB", [smallest(tool) for tool in TOOLS])
    if len(rounds[OURS.name]) < ROUNDS:
        sys.exit(f"{OURS.name} left no good dump of every crash, see {FOLDER}/{OURS.name}-*.log")


main()
