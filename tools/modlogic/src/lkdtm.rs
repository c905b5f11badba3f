// SPDX-License-Identifier: GPL-2.0-or-later
//! lkdtm.ko: crash points, crash types, countdown.
