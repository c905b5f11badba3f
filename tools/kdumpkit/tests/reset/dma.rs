// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory of the crashed kernel, written by a device without a driver: shown without the module, over with it.

use crate::guest::{Bench, Guest, Said};
use crate::traffic::Frames;
use anyhow::{Context, Result, ensure};
use std::time::Duration;

/// Words of the crashed kernel that an e1000e writes when the next frames come, found through its registers, read twice: of every
/// second of the next descriptors in its receive ring one word of the descriptor itself and one of its buffer.
///
/// `look NAME WAIT`: how many of the words changed while the command WAIT ran, and the ring's head and tail.
///
/// By devmem, which maps /dev/mem: read() ends at the capture kernel's last page, and where the crash kernel's region lies among the
/// crashed kernel's pages is KASLR's choice. Nothing may depend on how fast the guest is: a slow one needs half a second for a word.
const LOOK: &str = r#"
D=0000:01:00.0
BAR=$(b sed -n '1s/ .*//p' $P/$D/resource)
r() { b devmem $((BAR + $1)) 32; }
word() { b devmem $1 64; }
RING=$(($(r 0x2804) << 32 | $(r 0x2800)))
HEAD=$(($(r 0x2810)))
frames() { echo $((($(r 0x2810) - HEAD + 256) % 256)); }
# left: descriptors that the device may still use, of 256 of 16 bytes each
echo "left $((($(r 0x2818) - HEAD + 256) % 256))"
# The first half of a descriptor is the buffer's address until its frame has come, so not those of the very next ones.
WORDS=
for i in $(b seq 4 2 34); do
	descriptor=$((RING + (HEAD + i) % 256 * 16))
	buffer=$(word $descriptor) || exit 1
	# a word that is full of the frame's number
	WORDS="$WORDS $descriptor $((buffer + 16))"
done
echo "words$WORDS"
# 14 frames, and how long they took
frames_came() {
	from=$(b sed 's/\..*//' /proc/uptime)
	for i in $(b seq 60); do
		[ $(frames) -ge 14 ] && break
		b sleep 1
	done
	SECONDS_TAKEN=$(($(b sed 's/\..*//' /proc/uptime) - from + 1))
	echo "seconds $SECONDS_TAKEN"
}
words() {
	for place in $WORDS; do
		value=$(word $place) || return 1
		echo $place $value
	done
}
look() {
	name=$1
	shift
	words >/tmp/before || exit 1
	echo "frames $name before $(frames)"
	"$@"
	words >/tmp/after || exit 1
	echo "frames $name after $(frames)"
	echo "changed $name $(b paste /tmp/before /tmp/after | b awk '$2 != $4 { n++ } END { print n + 0 }')"
}
"#;

#[test]
#[ignore = "boots a guest: make check does it"]
fn reset_when_dma_is_in_flight_ends_it() -> Result<()> {
    let bench = Bench::new("dma")?;
    // Slow enough for the ring of 256 buffers to outlast the boot of a slow capture kernel.
    let frames = Frames::start("net1", Duration::from_millis(500))?;
    let qemu = [
        "-device",
        "pcie-root-port,id=rp1,bus=pcie.0,addr=10.0,chassis=1",
        "-netdev",
        frames.netdev(),
        "-device",
        "e1000e,bus=rp1,netdev=net1",
    ];
    let guest = Guest {
        modules: vec!["e1000e"],
        qemu: qemu.map(String::from).to_vec(),
        script: "modprobe e1000e || exit 1\nb sleep 1\nlinks_up\n".into(),
        capture: Some(format!(
            "{LOOK}\nlook without frames_came\nmodprobe reset_devices || exit 1\nresults\n\
             look with b sleep $SECONDS_TAKEN\n\
             modprobe e1000e || exit 1\nprobe $D\nlinks_up\n\
             echo \"received $(b cat /sys/class/net/eth*/statistics/rx_packets)\"\n"
        )),
        ..Guest::default()
    };
    bench.run(&guest, judge)
}

fn judge(said: &Said) -> Result<()> {
    let number = |words: &str| -> Result<u32> {
        let text = said.one(words)?;
        text.parse().with_context(|| format!("{words} {text:?}"))
    };
    let (without, with) = (number("changed without")?, number("changed with")?);
    println!(
        "words of the crashed kernel that changed in {} s: {without} without, {with} with reset",
        number("seconds")?
    );
    // The looks need 36; the reset itself may take 30 s.
    let left = number("left")?;
    ensure!(
        left >= 96,
        "the ring has only {left} buffers left, it may run out before the second look: silence then proves nothing"
    );
    ensure!(
        without >= 4,
        "without the module only {without} words changed: is there no stream?"
    );
    ensure!(
        with == 0,
        "after the reset {with} words of the crashed kernel still changed"
    );
    ensure!(
        said.one("device 0000:01:00.0")?.starts_with("hot reset "),
        "the device was not reset"
    );
    // The stream never stopped: the driver receives it at once.
    ensure!(
        number("received")? > 0,
        "no frames came after the driver had probed"
    );
    Ok(())
}
