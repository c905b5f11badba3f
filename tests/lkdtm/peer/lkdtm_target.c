// SPDX-License-Identifier: GPL-2.0
/*
 * A function to put probes on, and a loop that times it: little else runs between two hits.
 * Write a number of calls to the parameter calls, then read the nanoseconds that they took there.
 */
#include <linux/irqflags.h>
#include <linux/ktime.h>
#include <linux/module.h>

static u64 took_ns;

static noinline void lkdtm_target(void)
{
	asm volatile("");
}

static int set_calls(const char *text, const struct kernel_param *param)
{
	unsigned long i, calls;
	int error = kstrtoul(text, 0, &calls);
	unsigned long flags;
	u64 start;

	if (error)
		return error;
	/* Nothing else runs on this CPU meanwhile. */
	local_irq_save(flags);
	start = ktime_get_ns();
	for (i = 0; i < calls; i++)
		lkdtm_target();
	took_ns = ktime_get_ns() - start;
	local_irq_restore(flags);
	return 0;
}

static int get_calls(char *buffer, const struct kernel_param *param)
{
	return sprintf(buffer, "%llu\n", took_ns);
}

static const struct kernel_param_ops ops = { .set = set_calls, .get = get_calls };
module_param_cb(calls, &ops, NULL, 0644);
MODULE_PARM_DESC(calls, "How often to call lkdtm_target(); reads as the nanoseconds of the last time");
MODULE_DESCRIPTION("A function to probe, for the benchmark of lkdtm");
MODULE_LICENSE("GPL");
