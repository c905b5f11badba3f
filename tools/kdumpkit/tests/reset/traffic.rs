// SPDX-License-Identifier: GPL-2.0-or-later
//! A source of Ethernet frames outside of the guest, for devices that receive while nobody looks.

use anyhow::Result;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Sends broadcast frames to QEMU's `-netdev dgram` until it is dropped.
pub struct Frames {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    netdev: String,
}

impl Frames {
    /// One frame every `pause`, for the netdev called `id`.
    pub fn start(id: &str, pause: Duration) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        // QEMU binds it later; until then frames are lost, as on a wire.
        let guest = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
        let netdev = format!(
            "dgram,id={id},local.type=inet,local.host=127.0.0.1,local.port={},remote.type=inet,remote.host=127.0.0.1,remote.port={}",
            guest.port(),
            socket.local_addr()?.port()
        );
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut number = 0_u64;
            while !stopped.load(Ordering::Relaxed) {
                let _ = socket.send_to(&frame(number), guest);
                number += 1;
                thread::sleep(pause);
            }
        });
        Ok(Self {
            stop,
            thread: Some(thread),
            netdev,
        })
    }

    /// The argument of `-netdev`.
    pub fn netdev(&self) -> &str {
        &self.netdev
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A broadcast frame of an unused protocol, full of its own number.
fn frame(number: u64) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([0x52, 0x54, 0x00, 0x00, 0x00, 0x01, 0x88, 0xb5]);
    while frame.len() < 1024 {
        frame.extend(number.to_be_bytes());
    }
    frame
}
