# SPDX-License-Identifier: Apache-2.0
# The long form; `make test` has a few thousand cases.
CASES ?= 100000

.PHONY: reference
reference: ## compare our Cedar with the reference over CASES (100000) random cases, from SEED
	@tools/bootstrap build test
	@$(MAKE) --no-print-directory build
	@.venv/bin/node tests/reference/compare.mjs '$(BUILD)/tests/reference/cedar_case' '$(CASES)' '$(or $(SEED),1)'
