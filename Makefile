# The commands of this project. Each does its own set-up; `make help` lists them.
# One profile (release) for running, testing and measuring, so that RocksDB is compiled once.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test bench demo fmt lint doc rust-test client-test fuzz clean

CLIENTS := tests/clients
VENV := $(CLIENTS)/.venv
NODE := $(CLIENTS)/mqttjs/node_modules
CARGO := cargo
FUZZ_SECONDS ?= 20
BENCH ?= compare ours mosquitto --qos 0,1 --rounds 3 --seconds 2

run: ## build the broker and run it on config/dev.toml
	@scripts/setup.sh build
	$(CARGO) run --release --locked --bin twinmq -- serve --config config/dev.toml

test: ## everything the gate checks: format, lints, docs, clients of others, all tests
	@scripts/setup.sh test
	$(MAKE) lint doc fuzz client-test rust-test

bench: ## a short measurement beside Debian's mosquitto (BENCH="..." for another one, see bench/README.md)
	@scripts/setup.sh bench
	$(CARGO) build --release --locked --bins
	$(CARGO) run --release --locked --bin twinmq-bench -- $(BENCH)

demo: ## a small fleet of simulated devices, with a broker of its own
	@scripts/setup.sh build
	$(CARGO) run --release --locked --bin twinmq -- demo

fmt: ## format the code
	$(CARGO) fmt --all

lint: ## format check and clippy, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings

doc: ## build the documentation of every crate, warnings are errors
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --release --locked --workspace --no-deps --document-private-items

client-test: $(VENV)/installed $(NODE)/installed ## clients of others against the running broker, and the README's walk-through
	$(CARGO) build --release --locked --bins
	$(CARGO) build --release --locked --manifest-path $(CLIENTS)/rumqttc/Cargo.toml --target-dir $${CARGO_TARGET_DIR:-target}/rumqttc
	$(VENV)/bin/python $(CLIENTS)/run.py

fuzz: ## random bytes against codec and rules, 20 seconds a target (FUZZ_SECONDS=, FUZZ_RUNS=, FUZZ=target)
	scripts/fuzz.sh $(if $(FUZZ_RUNS),--runs $(FUZZ_RUNS),--seconds $(FUZZ_SECONDS)) $(FUZZ)

rust-test: ## the tests of all crates
	$(CARGO) test --release --locked --workspace

$(VENV)/installed: $(CLIENTS)/requirements.txt
	python3 -m venv --clear $(VENV)
	$(VENV)/bin/pip install --quiet --no-input --disable-pip-version-check -r $<
	touch $@

$(NODE)/installed: $(CLIENTS)/mqttjs/package-lock.json
	cd $(CLIENTS)/mqttjs && npm ci --no-audit --no-fund --loglevel=error
	touch $@

clean: ## remove what was built, and the data of make run
	$(CARGO) clean
	rm -rf $(VENV) $(NODE) data

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
