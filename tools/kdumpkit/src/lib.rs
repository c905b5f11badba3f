// SPDX-License-Identifier: GPL-2.0-or-later
//! kdumpkit: everything that userspace does for kdump, in one static binary.
