// SPDX-License-Identifier: GPL-2.0-or-later
//! Linux crash dumps: readers, address translation, page classes, writers.
