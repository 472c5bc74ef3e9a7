"""The demo that is photographed: it is nobody's installation."""

import pytest

from fleet.management.testing.screenshots import environment


def test_a_demo_finds_no_database_and_no_setting_of_an_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "FLEET_SEAL_KEYS", "FLEET_NO_EMULATOR", "FLEET_PRODUCTION", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "theirs")
    monkeypatch.setenv("LANG", "C.UTF-8")
    found = environment(FLEET_VAR="/nowhere")
    assert {name: value for name, value in found.items() if value in ("theirs", "/nowhere")} == {
        "FLEET_VAR": "/nowhere"
    }
    assert found["LANG"] == "C.UTF-8"
