// SPDX-License-Identifier: GPL-2.0-or-later
//! Where /init's events go: the virtio-serial port when there is one, and the console for people.

use crate::event::{Event, PORT_NAME};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The port appears once its driver has probed it.
const PORT_WAIT: Duration = Duration::from_millis(1500);

/// Sends events; never fails, for there is nobody else to tell.
pub struct Reporter {
    port: Option<File>,
}

impl Reporter {
    /// Finds the event port. A machine without one has only the console.
    pub fn open() -> Self {
        let deadline = Instant::now() + PORT_WAIT;
        loop {
            if let Some(port) = find_port() {
                return Self { port: Some(port) };
            }
            if Instant::now() > deadline || !has_virtio_console() {
                return Self { port: None };
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// Sends one event.
    pub fn send(&mut self, event: &Event) {
        let Ok(line) = serde_json::to_string(event) else {
            return;
        };
        eprintln!("kdumpkit init: {line}");
        if let Some(port) = &mut self.port {
            // A lost host must not stop the dump.
            let _ = port.write_all(format!("{line}\n").as_bytes());
        }
    }
}

/// Whether a port can appear at all: a real machine, and a guest with nothing but virtio disks, must not wait for it.
fn has_virtio_console() -> bool {
    /// `VIRTIO_ID_CONSOLE`, include/uapi/linux/virtio_ids.h.
    const CONSOLE: &str = "0x0003";
    let devices = fs::read_dir("/sys/bus/virtio/devices");
    devices.into_iter().flatten().flatten().any(|device| {
        fs::read_to_string(device.path().join("device")).is_ok_and(|id| id.trim() == CONSOLE)
    })
}

fn find_port() -> Option<File> {
    for entry in fs::read_dir("/sys/class/virtio-ports").ok()?.flatten() {
        let name = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
        if name.trim() == PORT_NAME {
            return OpenOptions::new()
                .write(true)
                .open(format!("/dev/{}", entry.file_name().to_string_lossy()))
                .ok();
        }
    }
    None
}
