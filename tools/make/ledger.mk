# SPDX-License-Identifier: Apache-2.0
# A run of its own: `make test` kills a dozen processes, this one KILLS of them.
KILLS ?= 200

ledger: ## kill processes at random under load and hold the log against what callers noted
	@tools/bootstrap build run test
	@$(MAKE) --no-print-directory build
	@DVARA_BUILD='$(abspath $(BUILD))' DVARA_KILLS='$(KILLS)' .venv/bin/python -m pytest -q -s \
		-p no:cacheprovider tests/integration/faults/test_ledger.py
.PHONY: ledger
