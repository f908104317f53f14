# make help — what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TARGET := $(or $(CARGO_TARGET_DIR),target)
BINARY := $(abspath $(TARGET)/release/landfall)
# CI builds what Cargo.lock says, and sees all failures.
LOCKED := $(if $(CI),--locked)
PROFILE := $(if $(CI),ci,default)
# The engines of `make test-engines`: 20.10 (Debian bookworm), 26.1 (trixie), 28.5 (forky).
LANDFALL_ENGINES ?= 20 26 28
ENGINE_TESTS := binary(/^(engine|e2e)/)
ROOT_20 := bookworm
ROOT_26 := trixie
ROOT_28 := forky
# How long `make fuzz` runs each of its targets.
FUZZ ?= 30s
# `make soak`: how long the engine tests are repeated, how often the daemon is killed, how long containers come and go (in
# seconds).
SOAK ?= 1h
export LANDFALL_KILLS ?= 30
export LANDFALL_CHURN ?= 3600

# Tests, demo and benchmark need root; cargo does not: as another user only the finished programs run by sudo.
ifneq ($(shell id -u),0)
SUDO := sudo -E
HOST := $(shell rustc -vV | sed -n 's/^host: //p' | tr a-z- A-Z_)
export CARGO_TARGET_$(HOST)_RUNNER := $(SUDO)
endif
# The lab and the tests of the daemon run this binary: the one that is shipped.
export LANDFALL_BIN := $(BINARY)
# What is tested beside it has points at which tests kill it (crates/landfall/src/fault.rs).
FAULTS := --features landfall/fault-points
nextest = cargo nextest run $(LOCKED) --workspace $(FAULTS) --profile $(PROFILE)

.PHONY: help build demo test test-engines bench plugin lint fuzz soak prepare

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Static, against glibc. Measured with 300 endpoints and 3,000 calls: 1.0 s of CPU, where the same on musl takes 1.3 s for
# 0.8 MB less of file and 0.4 MB less of memory; and it needs no target but the one that is there. The flags go to the last
# step only, so everything below it is compiled once. What a static file that may stand anywhere must know of itself takes
# 0.36 MB, and packed a hundredth of that; glibc 2.36 (Debian 12) and later unpack it. Functions that are the same code
# stand there once (lld, which is rustc's linker here, can do that): 0.08 MB.
build: ## target/release/landfall, one static file
	cargo rustc $(LOCKED) --release -p landfall --bin landfall -- \
	  -C target-feature=+crt-static -C strip=symbols -C link-arg=-Wl,-z,pack-relative-relocs -C link-arg=-Wl,--icf=all

plugin: build ## dist/plugin, for `docker plugin create landfall dist/plugin`
	scripts/make-plugin $(BINARY) dist/plugin

demo: ## a LAN, a DHCP server and an engine of its own; containers on it
	@scripts/prepare bookworm
	@$(MAKE) --no-print-directory plugin
	cargo run $(LOCKED) --release -p lab --bin demo

test: ## all tests, on Docker Engine 20.10
	@scripts/prepare bookworm
	@$(MAKE) --no-print-directory plugin
	cargo test $(LOCKED) --workspace $(FAULTS) --doc --quiet
	@$(SUDO) crates/lab/src/root.sh bookworm >/dev/null
	$(nextest)

test-engines: ## the tests that need an engine, on 20.10, 26.1 and 28.5 (LANDFALL_ENGINES="20 26 28")
	@scripts/prepare $(foreach engine,$(LANDFALL_ENGINES),$(ROOT_$(engine)))
	@$(MAKE) --no-print-directory plugin
	@for root in bookworm $(foreach engine,$(LANDFALL_ENGINES),$(ROOT_$(engine))); do \
	  $(SUDO) crates/lab/src/root.sh "$$root" >/dev/null; done
	@for engine in $(LANDFALL_ENGINES); do \
	  echo "Docker Engine $$engine:"; \
	  LANDFALL_ENGINE=$$engine $(nextest) -E '$(ENGINE_TESTS)'; done

bench: ## Landfall against the others, side by side
	@scripts/prepare bookworm
	@$(MAKE) --no-print-directory plugin
	cargo run $(LOCKED) --release -p lab --bin bench

soak: export LANDFALL_KILLS = 500
soak: ## a full bridge, an hour of coming and going, 500 kills, systemd, a virtual machine for VLANs and ipvlan, and the tests with an engine again and again (SOAK=1h)
	@scripts/prepare bookworm forky vm
	@$(MAKE) --no-print-directory plugin
	@for root in bookworm forky vm; do $(SUDO) crates/lab/src/root.sh "$$root" >/dev/null; done
	$(nextest) --features landfall/soak -E 'binary(soak) | binary(vm) | test(random::)' --no-capture
	$(nextest) -E '$(ENGINE_TESTS)' --stress-duration $(SOAK)

fuzz: ## the fuzz targets, each for a while (FUZZ=30s)
	scripts/fuzz $(FUZZ)

lint: ## formatting, clippy, shellcheck
	@LINT=1 scripts/prepare
	cargo fmt --all --check
	cargo clippy $(LOCKED) --workspace $(FAULTS) --all-targets -- -D warnings
	shellcheck scripts/* .ci/run crates/lab/src/*.sh

prepare: ## installs what the above need
	@scripts/prepare
