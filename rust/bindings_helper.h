/* SPDX-License-Identifier: GPL-2.0 */
/* The headers that bindgen reads. What is taken from them is listed in bindgen_parameters. */
#include <linux/console.h>
#include <linux/kexec.h>
#include <linux/kprobes.h>
#include <linux/rtnetlink.h>

#include <asm/nmi.h>

#include "helpers.h"
