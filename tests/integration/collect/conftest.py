# SPDX-License-Identifier: Apache-2.0
import pytest

from collect_tools import Collect


@pytest.fixture
def stand(tmp_path):
    one = Collect(tmp_path).logd()
    yield one
    one.close()
