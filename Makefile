# What people type. Each target is a cargo command or two; CARGO_TARGET_DIR and cargo's own config are respected.

CARGO ?= cargo
# The bench scenario to run; all of them when empty.
SCENARIO ?=
# How long `make fuzz-long` takes.
MINUTES ?= 30

# Where cargo puts what it builds. Not `cargo run`: it would choose features for one package only, and build it twice.
TARGET = $(shell $(CARGO) metadata --locked --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
SWAPBENCH = $(TARGET)/release/swapbench

.DEFAULT_GOAL := help

.PHONY: help build demo test fuzz fuzz-long bench bench-all lint clean

help:
	@echo "make build            the executables, optimised"
	@echo "make demo             real traffic through a dataplane that is swapped for another layout and back;"
	@echo "                      writes target/demo/report.json and report.svg"
	@echo "make test             all tests; those that lack a tool are listed as SKIPPED (REQUIRE_TOOLS=1: an error)"
	@echo "make fuzz             a fixed number of hostile inputs for every reader of foreign memory and files"
	@echo "make fuzz-long MINUTES=30"
	@echo "                      so many minutes of them, on one core, from what earlier runs have found"
	@echo "make bench            measurements beside their baselines, in a quarter of an hour, into target/bench/report.json"
	@echo "make bench SCENARIO=x only this one"
	@echo "make bench-all        the long ones too: a million flows and more; half an hour"
	@echo "make lint             formatting and clippy"
	@echo "make clean            removes what was built"

build:
	$(CARGO) build --release --locked -p dataplane -p control -p benches --bins

demo: build
	$(SWAPBENCH) demo

test:
	$(CARGO) test --workspace --locked

fuzz:
	CARGO='$(CARGO)' tests/fuzz/run

fuzz-long:
	CARGO='$(CARGO)' nice tests/fuzz/run long $(MINUTES)

bench: build
	$(SWAPBENCH) run $(or $(SCENARIO),--all)

bench-all: build
	$(SWAPBENCH) run --all --long

lint:
	$(CARGO) fmt --all --check
	cd tests/fuzz && $(CARGO) fmt --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

clean:
	$(CARGO) clean
