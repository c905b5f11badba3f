/* SPDX-License-Identifier: GPL-2.0 */
/* Functions in helpers.c: C macros and inline functions that Rust cannot call. Nothing else belongs there. */
#ifndef _KDUMP_HELPERS_H
#define _KDUMP_HELPERS_H

#include <linux/types.h>

struct attribute;
struct kobject;
struct list_head;
struct pci_bus;
struct pci_host_bridge;
struct task_struct;

/* linux/crash_dump.h */
bool kdump_helper_is_kdump_kernel(void);
/* linux/pci.h */
bool kdump_helper_pci_host_resets_ports(const struct pci_host_bridge *host);
int kdump_helper_pci_domain_nr(struct pci_bus *bus);
/* linux/preempt.h */
int kdump_helper_context(void);
void kdump_helper_preempt_disable(void);
/* linux/irqflags.h */
bool kdump_helper_irqs_disabled(void);
void kdump_helper_irqs_disable(void);
/* linux/sched.h */
struct task_struct *kdump_helper_current(void);
/* linux/smp.h */
unsigned int kdump_helper_cpu(void);
/* linux/list.h */
void kdump_helper_list_del(struct list_head *entry);
/* linux/printk.h: printk_deferred(), which is not exported */
void kdump_helper_printk_deferred(const char *fmt, ...) __printf(1, 2);
/* linux/bug.h */
void kdump_helper_bug(void) __noreturn;
/* -fstack-protector: calls @smash with the address of a buffer that a canary guards; only C code has one */
void kdump_helper_guarded_array(void (*smash)(void *buffer));
void kdump_helper_guarded_object(void (*smash)(void *buffer));
/* asm/apic.h: an NMI for this CPU; false where there is no way to send one */
bool kdump_helper_nmi_self(void);
/* linux/sysfs.h */
int kdump_helper_sysfs_create_file(struct kobject *kobj, const struct attribute *attr);
/* asm/pgtable_types.h: size of the page that maps a kernel address; 0 when none does, or when it can be written to. */
unsigned long kdump_helper_read_only_page(unsigned long address);
/* linux/vmcore_info.h: address and length in bytes of the note's memory, NULL when there is none. */
const void *kdump_helper_vmcoreinfo_note(size_t *len);

#endif
