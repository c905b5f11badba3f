// SPDX-License-Identifier: GPL-2.0

//! Something stops for ever.

use core::hint::spin_loop;

pub(super) fn endless_loop() -> ! {
    loop {
        spin_loop();
    }
}
