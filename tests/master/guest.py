# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots the guest of tests/master/run, cuts its power once, waits for its end, reads the results from its disk.

guest.py short|long FOLDER
"""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

MODE, FOLDER = sys.argv[1], Path(sys.argv[2])
# Seconds; a crash, its dump and a boot with systemd take 60 on a quiet machine.
DEADLINE_S = {"short": 1500, "long": 7200}[MODE]
# Longer than the watchdog's time: it ends a hang of a scenario.
SILENCE_S = 500
EXPECTED = {"short": 2, "long": 13}[MODE]
# What QEMU logs when the machine is not reset by its own software.
RESETS = ["Triple fault", "watchdog_perform_action", "tco_timer_expired"]


def start(number):
    console = FOLDER / f"console-{number}.log"
    command = [
        "qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-cpu", "max", "-m", "1536", "-smp", "2",
        "-nodefaults", "-display", "none", "-serial", f"file:{console}",
        # Writes reach the file at once: what the guest has flushed must be there after a power cut, and is.
        "-drive", f"file={FOLDER}/disk.img,if=virtio,format=raw,cache=writethrough",
        "-device", "i6300esb", "-action", "watchdog=reset",
        "-kernel", f"{FOLDER}/vmlinuz", "-initrd", f"{FOLDER}/initrd",
        "-append", "root=LABEL=kdumpkit-root rw console=ttyS0 crashkernel=320M panic=10 no_timer_check rcupdate.rcu_cpu_stall_timeout=5"
        " systemd.show_status=0",
        # Who resets the machine: the guest by itself, one of its watchdogs, or a triple fault.
        "-D", f"{FOLDER}/qemu-{number}.log", "-d", "cpu_reset", *(word for event in RESETS[1:] for word in ("-trace", event)),
    ]
    (FOLDER / "qemu.cmd").write_text(" ".join(command) + "\n")
    return subprocess.Popen(command), console


def text(path):
    return path.read_text(errors="replace") if path.exists() else ""


def wait_for_end(qemu, console, until):
    """To the end of the run. False when a boot hangs: emulated timers of a busy machine do that now and then."""
    grown, size = time.monotonic(), 0
    while qemu.poll() is None:
        now = time.monotonic()
        if now > until:
            qemu.kill()
            qemu.wait()
            sys.exit(f"not done after {DEADLINE_S} s; the console is in {FOLDER}")
        if console.exists() and console.stat().st_size != size:
            grown, size = now, console.stat().st_size
        if now - grown > SILENCE_S:
            qemu.kill()
            qemu.wait()
            return False
        time.sleep(0.5)
    return True


def cut_power(qemu, console, until):
    """Kills QEMU some seconds after the third crash has begun: before, in or after its dump."""
    while text(console).count("kdumpkit master: crashing:") < 3:
        if qemu.poll() is not None or time.monotonic() > until:
            sys.exit(f"the third crash never came; the console is in {FOLDER}")
        time.sleep(0.2)
    delay = random.Random().uniform(0, 12)
    time.sleep(delay)
    qemu.kill()
    qemu.wait()
    print(f"power cut {delay:.1f} s after the third crash began")


def results():
    out = FOLDER / "out"
    out.mkdir()
    for what in ("/var/lib/kdumpkit/master", "/etc/systemd/system/kdumpkit-master.service"):
        subprocess.run(["debugfs", "-R", f"rdump {what} {out}", str(FOLDER / "disk.img")], check=True, capture_output=True)
    reports = [json.loads(p.read_text()) for p in sorted(out.glob("master/run/results/*.json"))]
    plan = json.loads((out / "master/run/plan.json").read_text())
    state = json.loads((out / "master/state.json").read_text())
    return reports, plan, state, out


def main():
    until = time.monotonic() + DEADLINE_S
    begun = time.monotonic()
    number = 1
    qemu, console = start(number)
    try:
        if MODE == "long":
            cut_power(qemu, console, until)
            number += 1
            qemu, console = start(number)
        while not wait_for_end(qemu, console, until):
            print(f"silent for {SILENCE_S} s, power off and on")
            number += 1
            qemu, console = start(number)
    finally:
        if qemu.poll() is None:
            qemu.kill()
    reports, plan, state, out = results()
    for r in reports:
        print(f"{r['outcome']:<8} {r['id']:<32} {r['seconds']:6.1f} s  {r.get('reason') or ''}")
    ids = {r["id"] for r in reports}
    planned = {c["id"] for c in plan["cells"]}
    crashes = sum(text(p).count("kdumpkit master: crashing:") for p in FOLDER.glob("console-*.log"))
    logs = [text(p) for p in FOLDER.glob("qemu-*.log")]
    print("resets: " + ", ".join(f"{sum(log.count(reset) for log in logs)} {reset}" for reset in RESETS))
    print(f"{len(reports)} of {len(planned)} scenarios, {crashes} crashes in {time.monotonic() - begun:.0f} s")
    assert len(planned) == EXPECTED, f"{len(planned)} planned, {EXPECTED} expected"
    assert ids == planned, f"lost: {planned - ids}"
    bad = [r["id"] for r in reports if r["outcome"] != "pass"]
    assert not bad, f"did not pass: {bad}"
    assert state == {"crashing": None, "stopped": None}, state
    for name in ("report.html", "report.json", "report.xml"):
        assert (out / "master" / name).stat().st_size > 1000, name
    if MODE == "long":
        hang = next(r for r in reports if r["name"] == "hang")
        assert "watchdog" in hang["reason"], hang["reason"]
        assert crashes >= EXPECTED, f"{crashes} crashes"
    print("ok")


main()
