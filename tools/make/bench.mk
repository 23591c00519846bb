# SPDX-License-Identifier: Apache-2.0
bench: ## measure; figures as ratios in BUILD/bench.json, or of BENCH="json gateway" only
	@tools/bootstrap build run bench
	@$(MAKE) --no-print-directory build
	@BUILD='$(BUILD)' bench/run $(BENCH)
