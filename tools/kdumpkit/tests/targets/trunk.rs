// SPDX-License-Identifier: GPL-2.0-or-later
//! A switch port with one VLAN (IEEE 802.1Q) in front of QEMU's user network.
//!
//! The guest's frames come as datagrams, are untagged here and go to a second QEMU, which runs no guest and only lends its user
//! network. What has no tag, or another one, is dropped, as a switch would.

use super::guest::Bench;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Stdio};
use std::thread;

/// Bytes of the two addresses, after which the tag is.
const ADDRESSES: usize = 12;
const TPID: [u8; 2] = [0x81, 0x00];
const MAX_FRAME: usize = 65_536;

/// The port; ends with the value.
pub struct Trunk {
    qemu: Child,
    guest: Link,
}

/// A socket of ours and the port QEMU has at its other end.
struct Link {
    socket: UdpSocket,
    other: u16,
}

impl Link {
    fn new() -> Self {
        let socket = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a UDP port");
        // Given back at once: QEMU takes it.
        let other = socket().local_addr().expect("its number").port();
        Self {
            socket: socket(),
            other,
        }
    }

    /// QEMU's end.
    fn netdev(&self, id: &str) -> String {
        let own = self.socket.local_addr().expect("its number").port();
        let end = |name, port| format!("{name}.type=inet,{name}.host=127.0.0.1,{name}.port={port}");
        format!(
            "dgram,id={id},{},{}",
            end("local", self.other),
            end("remote", own)
        )
    }

    fn copy(&self) -> (UdpSocket, SocketAddr) {
        let socket = self.socket.try_clone().expect("a copy of the socket");
        (socket, (Ipv4Addr::LOCALHOST, self.other).into())
    }
}

impl Trunk {
    pub fn start(bench: &Bench, vlan: u16) -> Self {
        let (guest, network) = (Link::new(), Link::new());
        let [a, b] =
            [("u", "user,id=u".to_owned()), ("d", network.netdev("d"))].map(|(id, netdev)| {
                let port = format!("hubport,id=h{id},hubid=0,netdev={id}");
                ["-netdev".to_owned(), netdev, "-netdev".to_owned(), port]
            });
        let qemu = bench
            .lab
            .tree
            .in_buildroot("qemu-system-x86_64")
            .args(["-M", "none", "-display", "none", "-nodefaults"])
            .args(a)
            .args(b)
            .stdin(Stdio::null())
            .spawn()
            .expect("QEMU as a network");
        pass(guest.copy(), network.copy(), move |frame| {
            untag(frame, vlan)
        });
        pass(network.copy(), guest.copy(), move |frame| {
            Some(tag(frame, vlan))
        });
        Self { qemu, guest }
    }

    /// The guest's netdev n.
    pub fn netdev(&self) -> String {
        self.guest.netdev("n")
    }
}

impl Drop for Trunk {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// In a thread that ends with the test program.
fn pass(
    from: (UdpSocket, SocketAddr),
    to: (UdpSocket, SocketAddr),
    change: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static,
) {
    thread::spawn(move || {
        let mut frame = vec![0; MAX_FRAME];
        loop {
            // An error is the other end that is not there yet, or not any more.
            let Ok(bytes) = from.0.recv(&mut frame) else {
                continue;
            };
            if let Some(changed) = change(&frame[..bytes]) {
                let _ = to.0.send_to(&changed, to.1);
            }
        }
    });
}

fn untag(frame: &[u8], vlan: u16) -> Option<Vec<u8>> {
    let tag = frame.get(ADDRESSES..ADDRESSES + 4)?;
    let id = u16::from_be_bytes([tag[2], tag[3]]) & 0xfff;
    (tag[..2] == TPID && id == vlan)
        .then(|| [&frame[..ADDRESSES], &frame[ADDRESSES + 4..]].concat())
}

fn tag(frame: &[u8], vlan: u16) -> Vec<u8> {
    let (addresses, rest) = frame.split_at(ADDRESSES.min(frame.len()));
    [addresses, &TPID, &vlan.to_be_bytes(), rest].concat()
}

#[test]
fn untag_when_the_tag_is_another_or_missing_drops_the_frame() {
    let frame: Vec<u8> = (0..64).collect();
    assert_eq!(untag(&tag(&frame, 42), 42), Some(frame.clone()));
    assert_eq!(untag(&tag(&frame, 43), 42), None);
    assert_eq!(untag(&frame, 42), None);
    assert_eq!(untag(&frame[..5], 42), None);
}
