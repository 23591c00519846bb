# SPDX-License-Identifier: Apache-2.0
# The whole sweep; `make test` fails a choice of calls.
torture: ## fail every allocation, write, sync, rename, open and socket call of our code in turn
	@tools/bootstrap build run test
	@$(MAKE) --no-print-directory build
	@DVARA_BUILD='$(abspath $(BUILD))' DVARA_TORTURE=full .venv/bin/python -m pytest -q -rP \
		-p no:cacheprovider tests/torture
.PHONY: torture
