# SPDX-License-Identifier: Apache-2.0
lint: ## check layers, headers, layout, scripts, both compilers, the module's links, clang-tidy
	@tools/bootstrap build test
	@$(MAKE) --no-print-directory build
	@tools/lint/lint --build '$(BUILD)'
