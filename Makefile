# The two commands: `make demo` and `make test`. Both install the system packages they need and say so.
.DEFAULT_GOAL := help
.PHONY: help setup build release demo test lint bench bench-deploy bench-queries clean

SUDO := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=PATH,HOME,CARGO_HOME,RUSTUP_HOME)

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

setup: ## Install the system packages that everything else needs
	@bash scripts/setup.sh

build: setup ## Build all programs
	cargo build --workspace --locked

release: setup ## Build all programs as they are shipped
	cargo build --workspace --locked --release

demo: release ## A bare server becomes a serving, backed-up trading host, on this machine
	$(SUDO) bash scripts/demo.sh

test: setup ## Every test, those on sandbox droplets included
	bash scripts/test.sh

lint: setup ## Formatting and clippy, warnings denied
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked --features sepctl/failpoints -- -D warnings

bench: bench-deploy bench-queries ## All benchmarks; they write docs/benchmarks.md

bench-deploy: release ## Deployments, side by side with Ansible, pyinfra and ssh
	$(SUDO) bash bench/deploy.sh

bench-queries: release ## The queries of the trading day, on a year of M1 bars for ten pairs
	cargo build --locked --release -p sep-executor --example query_latency
	$(SUDO) bash bench/queries_on_droplet.sh

clean: ## Remove what was built, and every sandbox droplet
	-$(SUDO) target/release/sepctl sandbox down --all
	cargo clean
