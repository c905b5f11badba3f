// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A kernel file as small as it gets, the first input of fuzz target mkdfinfo_vmlinux: structures, an anonymous union, a bit
 * field, an array, an enum, and the banner that says which release it is. fuzz/run compiles it with -g; without it no random
 * input ever has a .debug_info that is worth reading.
 */
const char linux_banner[] = "Linux version 7.3.4-fuzz (builder) #1 SMP";

struct list_head {
	struct list_head *next, *prev;
};

typedef struct {
	int counter;
} atomic_t;

struct page {
	struct {
		unsigned long f;
	} flags;
	union {
		struct {
			struct list_head lru;
			const struct address_space *mapping;
			unsigned long private;
		};
		struct {
			unsigned long compound_head;
		};
	};
	union {
		unsigned int page_type;
		atomic_t _mapcount;
	};
	atomic_t _refcount;
} page;

enum pageflags { PG_locked, PG_lru = 5, PG_head, PG_slab };
enum pageflags flag;

struct mem_section {
	unsigned long section_mem_map, *usage;
} *mem_section[4];

struct free_area {
	struct list_head free_list[6];
	unsigned long nr_free;
};

struct zone {
	unsigned long spanned_pages;
	struct free_area free_area[11];
	unsigned int bits : 3;
} zone;

struct task_struct {
	int pid;
	char comm[16];
	void *stack;
	struct list_head tasks;
} init_task;

struct module {
	int state;
	struct list_head list;
	char name[56];
} module;
