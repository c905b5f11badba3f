// SPDX-License-Identifier: GPL-2.0-or-later
//! reset.ko: the reset plan.
