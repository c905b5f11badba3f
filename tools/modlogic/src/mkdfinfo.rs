// SPDX-License-Identifier: GPL-2.0-or-later
//! mkdfinfo.ko: the text that mkdfinfo publishes.
