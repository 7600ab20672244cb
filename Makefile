# K3s-DaaS. `make help` lists the targets; CI runs these and nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/bash

CACHE := .cache
export CARGO_TERM_COLOR ?= auto
K3S_DAAS := target/debug/k3s-daas

.PHONY: help up demo test bench need need-go need-node binary control-plane move-build move-test \
        fmt fmt-check lint deny unit e2e docs docs-check bench-micro bench-load fuzz clean ci

help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  \1\t/' | column -t -s "$$(printf '\t')"

up: binary control-plane ## Start everything on this machine: ledger, webhooks, control plane, four tenants
	@$(K3S_DAAS) up

demo: binary control-plane ## The same, then a scripted tour; fails if any line is not as expected
	@$(K3S_DAAS) up --demo

test: need fmt-check lint deny move-test control-plane unit e2e ## Pass every test
	@tests/tools/summary.sh

bench: bench-micro bench-load ## Measure the figures of the design; writes docs/benchmarks.md

need: ## Check that the tools this needs are there
	@tests/tools/need.sh cargo cc

need-go:
	@tests/tools/need.sh control-plane

need-node:
	@tests/tools/need.sh node

binary: need
	@cargo build --quiet --locked -p k3s-daas

control-plane: need-go ## Build the Kubernetes control plane of the tests, once
	@tests/tools/control-plane.sh

move-build: need-node ## Compile the Move package and compare it with the committed bytecode
	@cd move && npm ci --silent --no-audit --no-fund && npm run --silent check

move-test: need-node ## Run the Move tests in a real Move VM
	@cd move && npm ci --silent --no-audit --no-fund && npm run --silent check && npm run --silent test

fmt: ## Format all code
	@cargo fmt --all

fmt-check:
	@cargo fmt --all --check

lint: ## Clippy, warnings as errors
	@cargo clippy --locked --workspace --all-targets -- -D warnings

deny: ## Licences, duplicate and unknown sources of dependencies
	@tests/tools/deny.sh

unit: ## Unit, property and component tests
	@cargo test --locked --workspace --exclude k3s-daas-tests

e2e: control-plane ## End-to-end tests against a real control plane
	@cargo test --locked -p k3s-daas-tests
	@K3S_DAAS_CONTROL_PLANE="$$(tests/control-plane/build.sh --path)" cargo test --locked -p k3s-configs \
	    --test real_control_plane -- --include-ignored --test-threads 1

docs: ## Write the generated documents again
	@K3S_DAAS_WRITE_DOCS=1 cargo test --quiet --locked -p k3s-daas --test docs

bench-micro: ## Criterion benchmarks of the pure parts
	@cargo bench --locked -p seal -p authn-webhook -p authz-webhook -p sui-ledger

bench-load: ## Side-by-side load runs
	@cargo run --release --locked -p k3s-daas-tests --bin bench

ci: test demo ## What CI runs

clean: ## Remove what was built here
	@rm -rf target $(CACHE) move/node_modules
