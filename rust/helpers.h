/* SPDX-License-Identifier: GPL-2.0 */
/* Functions in helpers.c: C macros and inline functions that Rust cannot call. Nothing else belongs there. */
#ifndef _KDUMP_HELPERS_H
#define _KDUMP_HELPERS_H

#include <linux/types.h>

struct attribute;
struct kobject;
struct pci_bus;
struct pci_host_bridge;

/* linux/crash_dump.h */
bool kdump_helper_is_kdump_kernel(void);
/* linux/pci.h */
bool kdump_helper_pci_host_resets_ports(const struct pci_host_bridge *host);
int kdump_helper_pci_domain_nr(struct pci_bus *bus);
/* linux/preempt.h */
int kdump_helper_context(void);
/* linux/irqflags.h */
bool kdump_helper_irqs_disabled(void);
/* linux/smp.h */
unsigned int kdump_helper_cpu(void);
/* linux/printk.h: printk_deferred(), which is not exported */
void kdump_helper_printk_deferred(const char *fmt, ...) __printf(1, 2);
/* linux/bug.h */
void kdump_helper_bug(void) __noreturn;
/* linux/sysfs.h */
int kdump_helper_sysfs_create_file(struct kobject *kobj, const struct attribute *attr);
/* linux/vmcore_info.h: address and length in bytes of the note's memory, NULL when there is none. */
const void *kdump_helper_vmcoreinfo_note(size_t *len);

#endif
