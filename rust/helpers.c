// SPDX-License-Identifier: GPL-2.0
/* C macros and inline functions that Rust cannot call; see helpers.h. */
#include <linux/bug.h>
#include <linux/crash_dump.h>
#include <linux/irqflags.h>
#include <linux/kprobes.h>
#include <linux/list.h>
#include <linux/pci.h>
#include <linux/pgtable.h>
#include <linux/preempt.h>
#include <linux/sysfs.h>
#include <linux/version.h>
#include <linux/vmcore_info.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/smp.h>

#ifdef CONFIG_X86_LOCAL_APIC
#include <asm/apic.h>
#endif

#include "helpers.h"

bool kdump_helper_is_kdump_kernel(void)
{
	return is_kdump_kernel();
}

/* __kprobes, notrace: called from probe handlers, must not be probed or traced itself. */
int __kprobes notrace kdump_helper_context(void)
{
	return in_nmi() ? 3 : in_hardirq() ? 2 : in_serving_softirq() ? 1 : 0;
}

bool __kprobes notrace kdump_helper_irqs_disabled(void)
{
	return irqs_disabled();
}

struct task_struct * __kprobes notrace kdump_helper_current(void)
{
	return current;
}

unsigned int __kprobes notrace kdump_helper_cpu(void)
{
	return raw_smp_processor_id();
}

void kdump_helper_printk_deferred(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vprintk_emit(0, LOGLEVEL_SCHED, NULL, fmt, args);
	va_end(args);
}

void kdump_helper_list_del(struct list_head *entry)
{
	list_del(entry);
}

void kdump_helper_preempt_disable(void)
{
	preempt_disable();
}

void kdump_helper_irqs_disable(void)
{
	local_irq_disable();
}

void kdump_helper_guarded_array(void (*smash)(void *buffer))
{
	char buffer[8];

	smash(buffer);
}

void kdump_helper_guarded_object(void (*smash)(void *buffer))
{
	unsigned long object;

	smash(&object);
}

bool kdump_helper_nmi_self(void)
{
#ifdef CONFIG_X86_LOCAL_APIC
	apic->send_IPI(raw_smp_processor_id(), NMI_VECTOR);
	return true;
#else
	return false;
#endif
}

void kdump_helper_bug(void)
{
	BUG();
}

int kdump_helper_sysfs_create_file(struct kobject *kobj, const struct attribute *attr)
{
	return sysfs_create_file(kobj, attr);
}

unsigned long kdump_helper_read_only_page(unsigned long address)
{
#ifdef CONFIG_X86_64
	unsigned int level;
	pte_t *pte = lookup_address(address, &level);

	return pte && pte_present(*pte) && !pte_write(*pte) ? page_level_size(level) : 0;
#else
	return 0;
#endif
}

const void *kdump_helper_vmcoreinfo_note(size_t *len)
{
	phys_addr_t note = paddr_vmcoreinfo_note();

	*len = VMCOREINFO_NOTE_SIZE;
	return note ? phys_to_virt(note) : NULL;
}

bool kdump_helper_pci_host_resets_ports(const struct pci_host_bridge *host)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 3, 0)
	return host->reset_root_port;
#else
	return false;
#endif
}

int kdump_helper_pci_domain_nr(struct pci_bus *bus)
{
	return pci_domain_nr(bus);
}
