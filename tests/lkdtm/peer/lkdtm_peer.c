// SPDX-License-Identifier: GPL-2.0
/* The least that a C module can do at a crash point: one kprobe, one atomic countdown. What lkdtm.ko is measured against. */
#include <linux/atomic.h>
#include <linux/kprobes.h>
#include <linux/module.h>

static char *symbol = "vfs_read";
module_param(symbol, charp, 0444);
MODULE_PARM_DESC(symbol, "Function to probe");

static atomic64_t left = ATOMIC64_INIT(2000000000);

static int __kprobes pre_handler(struct kprobe *p, struct pt_regs *regs)
{
	if (unlikely(atomic64_fetch_dec(&left) == 1))
		panic("peer");
	return 0;
}

static struct kprobe probe = { .pre_handler = pre_handler };

static int __init peer_init(void)
{
	probe.symbol_name = symbol;
	return register_kprobe(&probe);
}

static void __exit peer_exit(void)
{
	unregister_kprobe(&probe);
	pr_info("lkdtm_peer: hits=%lld\n", 2000000000LL - atomic64_read(&left));
}

module_init(peer_init);
module_exit(peer_exit);
MODULE_DESCRIPTION("Minimal counting kprobe, the benchmark's peer of lkdtm");
MODULE_LICENSE("GPL");
