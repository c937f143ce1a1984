"""An address that cannot be listened on is named with what may have it."""

from __future__ import annotations

import pytest

from connector.errors import ConfigurationError
from connector.telemetry.endpoint import bind


def test_a_port_in_use_may_be_that_of_a_connector_that_runs() -> None:
    with bind("127.0.0.1:0") as held:
        listen = f"127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(ConfigurationError) as refused:
            bind(listen)

    assert str(refused.value) == (
        f"server.listen: cannot listen on {listen}: Address already in use "
        "(a connector that runs already, or another program, has it; use another port, or 0 for a free one)"
    )


def test_an_address_of_another_machine_is_not_taken_for_one_in_use() -> None:
    with pytest.raises(ConfigurationError, match=r"cannot listen on 192\.0\.2\.1:9464") as refused:
        bind("192.0.2.1:9464")

    assert "already" not in str(refused.value)
