# K3s-DaaS. `make help` lists the targets; CI runs these and nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/bash

CACHE := .cache
export CARGO_TERM_COLOR ?= auto
K3S_DAAS := target/debug/k3s-daas

.PHONY: help up demo test bench escalation need need-node binary control-plane containers workers move-build move-test \
        fmt fmt-check lint deny unit helm e2e docs docs-check bench-micro bench-load bench-nodes bench-gate bench-cri fuzz clean ci

help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  \1\t/' | column -t -s "$$(printf '\t')"

# Worker machines that `make up` and `make demo` start; they need root.
WORKERS ?= 0

up: binary control-plane workers ## Start everything on this machine: ledger, webhooks, control plane, four tenants, WORKERS machines
	@tests/tools/with-control-plane.sh $(K3S_DAAS) up --workers $(WORKERS)

demo: binary control-plane workers ## The same, then a scripted tour; fails if any line is not as expected
	@tests/tools/with-control-plane.sh $(K3S_DAAS) up --demo --workers $(WORKERS)

test: need fmt-check lint deny move-test control-plane unit e2e ## Pass every test
	@tests/tools/summary.sh

bench: bench-micro bench-load ## Measure the figures of the design; writes docs/benchmarks.md

need: ## Check that the tools this needs are there
	@tests/tools/need.sh cargo cc

need-node:
	@tests/tools/need.sh node

binary: need
	@cargo build --locked --workspace --bins

control-plane: ## Find, download or build a control plane, once
	@tests/tools/control-plane.sh

workers: ## Install what WORKERS machines run: containerd, runc, network plugins, test images
	@[ "$(WORKERS)" = 0 ] || { tests/tools/containerd.sh && tests/tools/images.sh; } >/dev/null

move-build: need-node ## Compile the Move package and compare it with the committed bytecode
	@cd move && npm ci --silent --no-audit --no-fund && npm run --silent check

move-test: need-node ## Run the Move tests in a real Move VM
	@cd move && npm ci --silent --no-audit --no-fund && npm run --silent check && node tools/golden.mjs --check && npm run --silent test

fmt: ## Format all code
	@cargo fmt --all

fmt-check:
	@cargo fmt --all --check

lint: ## Clippy, warnings as errors
	@cargo clippy --locked --workspace --all-targets -- -D warnings

deny: ## Licences, duplicate and unknown sources of dependencies
	@tests/tools/deny.sh

unit: control-plane binary helm containers ## Unit, property, component and end-to-end tests of all crates
	@tests/tools/with-control-plane.sh cargo test --locked --workspace

containers: ## Install what tests that run containers need, where the machine lets them
	@tests/tools/can-run-workers.sh | grep -q 1 || exit 0; \
	    tests/tools/containerd.sh >/dev/null && tests/tools/images.sh >/dev/null && tests/tools/registry.sh >/dev/null

helm: ## Build the helm that installs a chart as a tenant, once
	@tests/tools/helm.sh >/dev/null || echo "no helm: its test will say that it did not run" >&2

e2e: control-plane ## What only the real control plane can judge
	@cd tests/control-plane && { ! command -v go >/dev/null || go test ./...; }
	@tests/tools/with-control-plane.sh cargo test --locked --workspace --test real_control_plane \
	    --test cli --test identity -- --ignored --test-threads 1
	@tests/tools/can-run-workers.sh | grep -q 1 || exit 0; \
	    tests/tools/containerd.sh >/dev/null && tests/tools/images.sh >/dev/null && \
	    tests/tools/cri-tools.sh >/dev/null && \
	    tests/tools/with-control-plane.sh cargo test --locked -p k3s-configs --test agent -- --ignored --test-threads 1 && \
	    cargo test --locked -p k3s-daas-tests --test critest -- --ignored --nocapture --test-threads 1

escalation: control-plane ## Try every known way to more rights; writes docs/escalation.md
	@K3S_DAAS_ESCALATION_TABLE=docs/escalation.md tests/tools/with-control-plane.sh \
	    cargo test --locked -p k3s-daas-tests --test escalation -- --nocapture no_tier

docs: ## Write the generated documents again
	@K3S_DAAS_WRITE_DOCS=1 cargo test --quiet --locked -p k3s-daas --test docs
	@K3S_DAAS_WRITE_DOCS=1 cargo test --quiet --locked -p node-admission --test api document

bench-micro: ## Criterion benchmarks of the pure parts
	@cargo bench --locked -p authn-webhook -p authz-webhook -p sui-ledger --bench decide --bench directory

bench-load: ## Side-by-side load runs
	@cargo build --release --locked -p k3s-daas --bin k3s-daas
	@cargo run --release --locked -p k3s-daas-tests --bin bench

bench-nodes: control-plane ## A thousand nodes at a real API server; BENCH_NODES="--nodes 100" for fewer
	@cargo build --release --locked -p k3s-daas --bin k3s-daas
	@tests/tools/with-control-plane.sh cargo run --release --locked -p k3s-daas-tests --bin bench -- \
	    nodes $(BENCH_NODES)

bench-gate: control-plane ## What the gate costs and how soon it closes; BENCH_GATE="idle slash" for parts
	@tests/tools/with-control-plane.sh cargo run --release --locked -p k3s-daas-tests --bin bench -- \
	    gate $(BENCH_GATE)

bench-cri: ## What the worker adds to kubelet's calls, and its memory; needs root. BENCH_CRI="unary" for parts
	@tests/tools/containerd.sh >/dev/null && tests/tools/images.sh >/dev/null
	@cargo build --release --locked -p k3s-daas --bin k3s-daas --bin k3s-daas-worker
	@cargo run --release --locked -p k3s-daas-tests --bin bench -- cri $(BENCH_CRI)

fuzz: need ## Fuzz each parser for a short while; needs nightly and cargo-fuzz
	@tests/tools/fuzz.sh

ci: test ## What CI runs; the tour has a worker where the machine allows it
	@$(MAKE) --no-print-directory demo WORKERS="$$(tests/tools/can-run-workers.sh)"

clean: ## Remove what was built here
	@rm -rf target fuzz/target $(CACHE) move/node_modules
