/* SPDX-License-Identifier: GPL-2.0 */
/* The headers that bindgen reads. What is taken from them is listed in bindgen_parameters. */
#include <linux/kprobes.h>

#include "helpers.h"
