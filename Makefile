# The two commands are `make demo` and `make test`; the rest is for those who work on it.

.PHONY: demo test bench bench-admin bench-scale bench-micro bench-loss soak fuzz fmt stock deb clean-ns help

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## */\t/' | expand -t 12

demo: ## build it and watch a remote user reach a private web server
	@tests/prepare demo
	@cargo build --release --bin vpnserver --bin vpnclient --bin vpncmd --bin demo
	@$${CARGO_TARGET_DIR:-target}/release/demo

test: ## everything that CI checks, in the same order
	@tests/stages

bench: ## speed beside the stock software and OpenVPN, in ten minutes; saved in docs/benchmarks.md
	@tests/prepare demo
	@cargo build --release --bin vpnserver --bin vpnclient --bin vpncmd --bin bench
	@$${CARGO_TARGET_DIR:-target}/release/bench

bench-admin: ## what administration costs with 10,000 users, beside the stock server
	@tests/prepare demo
	@cargo build --release --bin vpnserver --bin bench_admin
	@$${CARGO_TARGET_DIR:-target}/release/bench_admin

bench-scale: ## what 10,000 sessions, logins and a storm of them cost, beside the stock server
	@tests/prepare demo
	@cargo build --release --bin vpnserver --bin vpncmd --bin bench_scale
	@SCALE_SAVE=docs/benchmarks.md $${CARGO_TARGET_DIR:-target}/release/bench_scale

bench-micro: ## what one frame costs in the hub, on the wire and before a device, in nanoseconds
	@cargo bench -q -p hub-core -p protocol -p netdev --bench forward --bench wire --bench segment

bench-loss: ## what UDP acceleration gains on a path of 40 ms that loses 1 %; saved in docs/benchmarks.md
	@tests/prepare demo
	@cargo build --release --bin vpnserver --bin vpnclient --bin vpncmd --bin bench_loss
	@$${CARGO_TARGET_DIR:-target}/release/bench_loss docs/benchmarks.md

soak: ## sessions that come and go under traffic, SOAK_MINUTES (30) long, and 200 kills of the client
	@tests/prepare demo
	@cargo build --bin vpnserver --bin vpnclient --bin vpncmd --bin soak
	@$${CARGO_TARGET_DIR:-target}/debug/soak
	@HUBWARD_KILLS=200 cargo test -p hubward-tests --test end_to_end client_network::kills::kills_at

fuzz: ## every fuzz target, bounded; FUZZ_SECONDS says for how long each (60)
	@tests/fuzz/run

fmt: ## format the sources
	@cargo fmt --all

stock: ## unpack the stock SoftEther software below target/, without installing it
	@cargo run -q -p hubward-tests --bin demo -- --unpack

deb: ## the Debian package, with manual pages and completions, in target/debian
	@tests/prepare deb
	@cargo build --release --bin vpnserver --bin vpnclient --bin vpncmd --bin packaging
	@$${CARGO_TARGET_DIR:-target}/release/packaging
	@PATH="$${CARGO_TARGET_DIR:-target}/tools/bin:$$PATH" cargo deb -q -p packaging --no-build

clean-ns: ## end what a laboratory of this user left running, if anything ever did
	@tests/clean-ns
