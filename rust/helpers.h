/* SPDX-License-Identifier: GPL-2.0 */
/* Functions in helpers.c: C macros and inline functions that Rust cannot call. Nothing else belongs there. */
#ifndef _KDUMP_HELPERS_H
#define _KDUMP_HELPERS_H

#include <linux/types.h>

/* linux/crash_dump.h */
bool kdump_helper_is_kdump_kernel(void);
/* linux/preempt.h */
int kdump_helper_context(void);
/* linux/irqflags.h */
bool kdump_helper_irqs_disabled(void);
/* linux/bug.h */
void kdump_helper_bug(void) __noreturn;

#endif
