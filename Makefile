# make help — what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# This machine's architecture, as Docker calls it, and what `make dist` builds for (ARCH=all).
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
HOST_ARCH := $(shell awk '$$3 == "$(HOST)" {print $$1}' packaging/architectures)
ARCH ?= $(HOST_ARCH)
BINARY := $(abspath dist/landfall-linux-$(HOST_ARCH))
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
SOAK_ROOTS := bookworm forky bookworm-systemd trixie-systemd vm arm64 armv7
export LANDFALL_KILLS ?= 30
export LANDFALL_CHURN ?= 3600

# Tests, demo and benchmark need root; cargo does not: as another user only the finished programs run by sudo.
ifneq ($(shell id -u),0)
SUDO := sudo -E
RUNNER := CARGO_TARGET_$(shell tr a-z- A-Z_ <<<'$(HOST)')_RUNNER
export $(RUNNER) := $(SUDO)
endif
# The lab and the tests of the daemon run this binary: the one that is shipped.
export LANDFALL_BIN := $(BINARY)
# What is tested beside it has points at which tests kill it (crates/landfall/src/fault.rs).
FAULTS := --features landfall/fault-points
archs = $(if $(filter all,$(ARCH)),$$(awk '!/^\#/ {print $$1}' packaging/architectures),$(ARCH))
package = @for arch in $(archs); do scripts/package $@ "$$arch" "dist/landfall-linux-$$arch" dist/documents dist; done
nextest = cargo nextest run $(LOCKED) --workspace $(FAULTS) --profile $(PROFILE)

.PHONY: help build dist plugin-push deb rpm documents demo test test-engines bench plugin lint fuzz soak prepare

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## dist/landfall-linux-ARCH of this machine's architecture, one static file
	scripts/build

dist: ## the same for others: ARCH=amd64, 386, arm64, armv7 or all
	scripts/build $(ARCH)

plugin-push: dist ## the plugin's images of ARCH to REGISTRY=localhost:5000/landfall, without an engine
	scripts/plugin-push $(or $(REGISTRY),$(error say where to: make plugin-push REGISTRY=localhost:5000/landfall)) \
	  $(archs)

plugin: build ## dist/plugin, for `docker plugin create landfall dist/plugin`
	scripts/make-plugin $(BINARY) dist/plugin

deb: dist documents ## the host service as Debian's package, for ARCH
	$(package)

rpm: dist documents ## the same as RPM's
	$(package)

documents: ## dist/documents: manual pages and shell completions, which go into packages
	env $(RUNNER:%=-u %) LANDFALL_DOCUMENTS=$(abspath dist/documents) cargo test $(LOCKED) -p landfall --bin landfall $(FAULTS) --quiet cmd::documents

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
soak: ## a release and foreign binaries, a full bridge, an hour of coming and going, 500 kills, systemd, the package on Debian 12 and 13, a virtual machine for VLANs and ipvlan, and the tests with an engine again and again (SOAK=1h)
	@RELEASE=1 FOREIGN=1 scripts/prepare $(SOAK_ROOTS)
	@$(MAKE) --no-print-directory dist ARCH=all
	@$(MAKE) --no-print-directory plugin deb rpm ARCH=$(HOST_ARCH)
	@for root in $(SOAK_ROOTS); do $(SUDO) crates/lab/src/root.sh "$$root" >/dev/null; done
	$(nextest) --features landfall/soak -E 'binary(soak) | binary(vm) | binary(release) | test(random::)' --no-capture
	LANDFALL_ENGINE=28 LANDFALL_VM_TESTS=docker:: $(nextest) --features landfall/soak -E 'binary(vm)' --no-capture
	@echo 'The tests of the daemon with the binary for 386, which has no seccomp filter (ARCHITECTURE.md, "Other machines"):'
	LANDFALL_BIN=$(abspath dist/landfall-linux-386) $(nextest) -E 'binary(daemon) - test(the_daemon_has_no_more_rights_than_it_needs)'
	@$(MAKE) --no-print-directory test-engines
	$(nextest) -E '$(ENGINE_TESTS)' --stress-duration $(SOAK)

fuzz: ## the fuzz targets, each for a while (FUZZ=30s)
	scripts/fuzz $(FUZZ)

lint: ## formatting, clippy, shellcheck
	@LINT=1 scripts/prepare
	cargo fmt --all --check
	cargo clippy $(LOCKED) --workspace $(FAULTS) --all-targets -- -D warnings
	shellcheck scripts/* .ci/run crates/lab/src/*.sh crates/landfall/tests/release/*.sh

prepare: ## installs what the above need
	@scripts/prepare
