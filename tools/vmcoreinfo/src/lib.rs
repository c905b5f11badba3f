// SPDX-License-Identifier: GPL-2.0-or-later
//! What a dump filter or debugger must know about one kernel build: the VMCOREINFO text format, BTF, kallsyms.
