# The two commands: `make demo` and `make test`. Both install the system packages they need and say so.
.DEFAULT_GOAL := help
.PHONY: help setup build release demo test lint kernels bench bench-deploy bench-queries bench-gpu bench-gate clean

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

kernels: setup ## Compile the CUDA kernels to the PTX that is shipped; needs no GPU
	python3 scripts/kernels.py build

bench: bench-deploy bench-queries bench-gpu bench-gate ## All benchmarks; bench-deploy and bench-gpu write docs/benchmarks.md

bench-deploy: release ## Deployments, side by side with Ansible, pyinfra and ssh
	$(SUDO) bash bench/deploy.sh

bench-queries: release ## The queries of the trading day, on a year of M1 bars for ten pairs
	cargo build --locked --release -p sep-executor --example query_latency
	$(SUDO) bash bench/queries_on_droplet.sh

bench-gpu: setup ## The signal engine, side by side with vectorbt, backtesting.py and NautilusTrader
	bash bench/gpu.sh

bench-gate: setup ## What the gate of the signal engine is worth: false promotions, and edges found
	cargo run --quiet --release --locked -p sep-gpu --example gate_power

clean: ## Remove what was built, and every sandbox droplet
	-$(SUDO) target/release/sepctl sandbox down --all
	cargo clean
