# SPDX-License-Identifier: Apache-2.0
fuzz: ## run every fuzz target for FUZZ_SECONDS (20) each
	@tools/bootstrap build test
	@tools/fuzz
