# SPDX-License-Identifier: Apache-2.0
# PEERS=1: other gateways, too (installed into BUILD/peers).
PEERS ?=

bench: ## measure; figures as ratios in BUILD/bench.json, or of BENCH="json gateway" only; PEERS=1
	@tools/bootstrap build run bench
	@$(MAKE) --no-print-directory build
	@$(if $(PEERS),BUILD='$(BUILD)' tools/peers)
	@BUILD='$(BUILD)' PEERS='$(PEERS)' bench/run $(BENCH)
