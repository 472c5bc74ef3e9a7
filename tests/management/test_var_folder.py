"""The secrets that `up` keeps in its folder: made once, for their owner alone."""

from pathlib import Path

import pytest

from fleet.management.processes.child import CannotStart
from fleet.management.var_folder import kept_secret


def test_a_secret_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "seal-keys"
    assert kept_secret(path=path, make=lambda: "first") == "first"
    assert kept_secret(path=path, make=lambda: "second") == "first"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601])
def test_a_secret_that_others_can_reach_is_refused_with_what_to_do(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "seal-keys"
    kept_secret(path=path, make=lambda: "first")
    path.chmod(mode)
    with pytest.raises(CannotStart, match=rf"\(mode {mode:03o}\)\. Run `chmod 600 {path}`"):
        kept_secret(path=path, make=lambda: "second")
    assert path.read_text() == "first\n"
