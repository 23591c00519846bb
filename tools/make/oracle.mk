# SPDX-License-Identifier: Apache-2.0
.PHONY: oracle
oracle: build ## hold a million requests at ten times the limits, with kills, against the log (ORACLE_REQUESTS=1000000)
	@tools/bootstrap build run test
	@BUILD='$(BUILD)' DVARA_ORACLE_REQUESTS='$(or $(ORACLE_REQUESTS),1000000)' .venv/bin/python -m pytest -q -s -p no:cacheprovider tests/integration/oracle
