# SPDX-License-Identifier: Apache-2.0
conformance: build ## run the suites of tests/conformance against VECTORS, or SUITES of them
	@tests/conformance/run --build '$(BUILD)' $(if $(VECTORS),--vectors '$(VECTORS)') $(SUITES)
