# SPDX-License-Identifier: Apache-2.0
# Thin over Meson. `make help` lists the targets.
BUILD ?= build
PREFIX ?= /usr
# The model server to guard; empty: a small real model is started (tools/model).
UPSTREAM ?=
# What `dvara up` needs; the tests are not built for it.
PROGRAMS = dvara dvarad dvara-logd dvara-collect dvara-export ngx_http_dvara_module.so

.PHONY: help build run test bench lint fuzz conformance install clean
.DEFAULT_GOAL := build

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | sort | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

build: $(BUILD)/build.ninja ## install what is missing, then compile everything
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@tools/bootstrap build
	@echo 'setting up $(BUILD)'
	@meson setup $(BUILD) >$(BUILD).log 2>&1 || { cat $(BUILD).log; rm -f $(BUILD).log; exit 1; }
	@mv $(BUILD).log $(BUILD)/setup.log

run: ## start Dvara before a small real model, or before UPSTREAM=http://...
	@tools/bootstrap build run
	@$(MAKE) -s --no-print-directory $(BUILD)/build.ninja
	@echo 'compiling what changed (a few minutes at the first time)'
	@ninja --quiet -C $(BUILD) $(PROGRAMS)
	@UPSTREAM='$(UPSTREAM)' BUILD='$(BUILD)' exec tools/run

test: ## install the test tools and run everything there is
	@tools/bootstrap build run test
	@$(MAKE) --no-print-directory build
	@BUILD='$(BUILD)' tools/test

install: build ## install into DESTDIR, with systemd units (PREFIX, default /usr)
	@meson configure $(BUILD) --prefix $(PREFIX) --sysconfdir /etc --localstatedir /var
	@DESTDIR='$(DESTDIR)' meson install -C $(BUILD) --no-rebuild

clean: ## remove the build
	rm -rf $(BUILD)

-include $(wildcard tools/make/*.mk)
