// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory of the crashed kernel, written by a device without a driver: shown without the module, over with it.

use crate::guest::{Bench, Guest, Said};
use crate::traffic::Frames;
use anyhow::{Context, Result, ensure};
use std::time::Duration;

/// The e1000e's receive ring and the buffers that the next frames will fill, found through its registers, hashed twice.
///
/// `look NAME SECONDS`: how many of the buffers (4 KiB pages) changed while we slept, and the ring's head and tail.
const LOOK: &str = r#"
D=0000:01:00.0
BAR=$(b sed -n '1s/ .*//p' $P/$D/resource)
r() { b devmem $((BAR + $1)) 32; }
page() { b dd if=/dev/mem bs=4096 skip=$(($1 / 4096)) count=1 2>/dev/null; }
RING=$(($(r 0x2804) << 32 | $(r 0x2800)))
HEAD=$(($(r 0x2810)))
echo "ring $RING length $(($(r 0x2808))) head $HEAD"
# The ring of 256 descriptors of 16 bytes is one page. Before a descriptor's frame has come its first half is the buffer's address,
# afterwards it is not: all are read at once, and the first ones left out, because frames keep coming meanwhile.
BUFFERS=$(page $RING | b od -An -v -w16 -tx8 | b awk -v head=$HEAD '
	{ first[NR - 1] = $1 }
	END { for (i = 6; i < 38; i += 2) printf " 0x%s", first[(head + i) % 256] }')
echo "buffers$BUFFERS"
hashes() { for buffer in $BUFFERS; do page $buffer | b md5sum; done; page $RING | b md5sum; }
look() {
	hashes >/tmp/before
	echo "head $1 before $(($(r 0x2810))) $(($(r 0x2818)))"
	b sleep $2
	hashes >/tmp/after
	echo "head $1 after $(($(r 0x2810))) $(($(r 0x2818)))"
	changed=$(b paste /tmp/before /tmp/after | b awk '$1 != $3 { n++ } END { print n + 0 }')
	echo "changed $1 $changed"
}
"#;

#[test]
#[ignore = "boots a guest: make check does it"]
fn reset_when_dma_is_in_flight_ends_it() -> Result<()> {
    let bench = Bench::new("dma")?;
    // Slow enough for the ring of 256 buffers to outlast the boot of the capture kernel.
    let frames = Frames::start("net1", Duration::from_millis(125))?;
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
            "{LOOK}\nlook without 4\nmodprobe reset_devices || exit 1\nresults\nlook with 4\n\
             modprobe e1000e || exit 1\nprobe $D\nlinks_up\n\
             echo \"frames $(b cat /sys/class/net/eth*/statistics/rx_packets)\"\n"
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
        "buffers and ring pages of the crashed kernel that changed in 4 s: {without} without, {with} with reset"
    );
    let ends: Vec<u32> = said
        .one("head without after")?
        .split(' ')
        .map(|n| n.parse().context("head and tail"))
        .collect::<Result<_>>()?;
    ensure!(
        ends[0] != ends[1],
        "the ring ran out of buffers before the reset: silence afterwards proves nothing"
    );
    ensure!(
        without >= 4,
        "without the module only {without} pages changed: is there no stream?"
    );
    ensure!(
        with == 0,
        "after the reset {with} pages of the crashed kernel still changed"
    );
    ensure!(
        said.one("device 0000:01:00.0")?.starts_with("hot reset "),
        "the device was not reset"
    );
    // The stream never stopped: the driver receives it at once.
    ensure!(
        number("frames")? > 0,
        "no frames came after the driver had probed"
    );
    Ok(())
}
