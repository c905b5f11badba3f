# SPDX-License-Identifier: GPL-2.0-or-later
# Entry point for people: `make help`. The kernel's build reads Kbuild instead and never sees this file.
#
# The verbs are thin: what they do is in scripts/ and in tools/kdumpkit, so that it can be run without make as well.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
export KVER KDIR MIRROR KDUMPKIT_CACHE INSTALL_MOD_PATH DESTDIR

CPOINT_NAME  ?= INT_HW_IRQ_EN
CPOINT_TYPE  ?= PANIC
CPOINT_COUNT ?= 10
RECUR_COUNT  ?=
# make W=1 CLIPPY=1 are the kernel's own switches
MOD_ARGS = $(if $(W),W=$(W)) $(if $(CLIPPY),CLIPPY=$(CLIPPY))

.PHONY: help demo check check-full bench doc modules modules_install tools install clean fmt fmt-check clippy

help: ## this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z_-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  KVER=7.2 chooses a kernel, KDIR=DIR builds modules with this machine's own tree and tools, MIRROR=URL a mirror,"
	@echo "  CPOINT_NAME= CPOINT_TYPE= CPOINT_COUNT= RECUR_COUNT= what the demo does, KDUMPKIT_CACHE=DIR where 8 GiB may go."

demo: ## crash a stock kernel at a crash point, capture, filter, say what happened
	@scripts/build-modules >/dev/null
	@"$$(scripts/build-tools)" test --point '$(CPOINT_NAME)' --type '$(CPOINT_TYPE)' --count '$(CPOINT_COUNT)' \
		$(if $(RECUR_COUNT),--recur '$(RECUR_COUNT)')

check: ## all tests; the last line is "N passed, N failed"
	@tests/run check

check-full: ## check, and what takes hours or gigabytes
	@tests/run check full

bench: ## speed and memory beside peers, as ratios
	@tests/run bench

doc: ## write the tables of Documentation/ again: mkdfinfo's keys with the sources of each, lkdtm's points and types
	@"$$(scripts/build-tools)" mkdfinfo --keys >Documentation/mkdfinfo-keys.rst
	@UPDATE_DOCS=1 scripts/build-tools cargo test --quiet --locked -p modlogic docs >/dev/null
	@ls Documentation/mkdfinfo-keys.rst Documentation/lkdtm-tables.rst

modules: ## build lkdtm.ko, reset_devices.ko, mkdfinfo.ko into build/RELEASE/
	@scripts/build-modules $(MOD_ARGS)

modules_install: ## install them into updates/ (INSTALL_MOD_PATH= as usual)
	@scripts/build-modules modules_install

tools: ## build the static kdumpkit binary, print its path
	@scripts/build-tools

install: ## install binary, systemd units and early hooks (DESTDIR= as usual)
	@scripts/install

clean: ## remove what was built in the tree; the cache folder stays
	@rm -rf --one-file-system build tools/target

fmt: ## format all Rust code
	@scripts/fmt

fmt-check: ## say what fmt would change
	@scripts/fmt --check

clippy: ## clippy on modules (with W=1) and tools, warnings are errors
	@scripts/build-modules W=1 CLIPPY=1
	@scripts/build-tools cargo clippy --quiet --all-targets --locked -- -D warnings
