"""A credential is opened in one place, and a client is made once."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.fernet import Fernet
from pytest_django import Settings

from fleet.cloud import CloudError, Retryability
from fleet.inventory.credentials import client_for, seal_credential
from fleet.lib.secret import Secret
from fleet.models import Account, SealedSecret
from tests.inventory.conftest import REGION


def test_stored_sealed(db: None) -> None:
    row = seal_credential(access_key_id="LTAI-key", secret=Secret("very-secret"))
    stored = SealedSecret.objects.values().get(pk=row.pk)
    assert "very-secret" not in str(stored)
    assert "LTAI-key" not in str(stored)
    assert stored["kind"] == "credential"
    assert len(stored["fingerprint"]) == 16


def test_one_client_an_account_and_region(account: Account) -> None:
    first = client_for(account, REGION)
    assert client_for(Account.objects.get(pk=account.pk), REGION) is first
    assert client_for(account, "cn-shanghai") is not first
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: client_for(account, REGION), range(32))) == {first}


def test_another_credential_or_endpoint_makes_another_client(account: Account) -> None:
    first = client_for(account, REGION)
    account.credential = seal_credential(access_key_id="emulator", secret=Secret("emulator-secret"))
    account.save()
    second = client_for(account, REGION)
    assert second is not first
    account.endpoint = "localhost:1"
    assert client_for(account, REGION) is not second


def test_swapped_rows_do_not_open(account: Account) -> None:
    other = seal_credential(access_key_id="other", secret=Secret("other"))
    assert account.credential is not None
    SealedSecret.objects.filter(pk=account.credential.pk).update(sealed=other.sealed)
    fresh = Account.objects.get(pk=account.pk)
    with pytest.raises(CloudError) as caught:
        client_for(fresh, "ap-southeast-1")
    assert (caught.value.code, caught.value.retryability) == ("FleetOS.SealBroken", Retryability.REFUSED)


def test_lost_key_says_what_to_do(account: Account, settings: Settings) -> None:
    settings.SEAL_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(CloudError, match="Enter it again"):
        client_for(Account.objects.get(pk=account.pk), "ap-southeast-1")


def test_no_credential(account: Account) -> None:
    account.credential = None
    with pytest.raises(CloudError, match="has no credential"):
        client_for(account, REGION)
