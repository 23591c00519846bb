# SPDX-License-Identifier: Apache-2.0
# PEERS=1: others beside us (installed into BUILD/peers); PEERS=cedar: those of BENCH=cedar only.
PEERS ?=

bench: ## measure; figures as ratios in BUILD/bench.json, or of BENCH="json gateway" only; PEERS=1|cedar
	@tools/bootstrap build run bench
	@$(MAKE) --no-print-directory build
	@$(if $(PEERS),BUILD='$(BUILD)' tools/peers '$(PEERS)')
	@BUILD='$(BUILD)' PEERS='$(PEERS)' bench/run $(BENCH)
