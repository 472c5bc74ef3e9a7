"""From an account to its client. This is the only place where a credential is opened."""

import json
import os
import threading
import uuid

from fleet.cloud import CloudError, Credential, EcsClient, Retryability
from fleet.inventory import quota
from fleet.lib.secret import SealBroken, Secret, fingerprint, seal, unseal
from fleet.models import Account, SealedSecret

# These calls are taken from the quota (`quota.take`) before they are sent, and must not be counted a second time.
TAKEN_BEFORE = frozenset({"ReplaceSystemDisk"})

_clients: dict[tuple[object, ...], EcsClient] = {}
_lock = threading.Lock()


def seal_credential(*, access_key_id: str, secret: Secret) -> SealedSecret:
    """Store an access key sealed, and return the row that an account takes as its `credential`."""
    row_id = uuid.uuid4()
    value = Secret(json.dumps({"access_key_id": access_key_id, "secret": secret.reveal()}))
    return SealedSecret.objects.create(
        id=row_id,
        kind=SealedSecret.Kind.CREDENTIAL,
        sealed=seal(value, row_id=str(row_id)),
        fingerprint=fingerprint(value),
    )


def client_for(account: Account, region: str) -> EcsClient:
    """Return the client of this account and region: one for each process, shared by its threads.

    With another credential or endpoint it is another client. Each of its calls is counted in the windows of the account.
    CloudError (`FleetOS.NoCredential`, `FleetOS.SealBroken`) where the account has no credential or it does not open.
    """
    # The process id is part of the key: a connection shared with a forked process would carry the answers of both.
    key = (os.getpid(), account.pk, account.credential_id, account.endpoint, region)
    with _lock:
        client = _clients.get(key)
        if client is None:
            for other in [known for known in _clients if known[1] == account.pk and known[4] == region]:
                del _clients[other]
            client = _clients[key] = _connect(account, region)
        return client


def _connect(account: Account, region: str) -> EcsClient:
    def counted(action: str, mutating: bool) -> None:
        if action not in TAKEN_BEFORE:
            quota.count(account, region, action)

    return EcsClient(endpoint=account.endpoint, region=region, credential=_credential(account), on_call=counted)


def _credential(account: Account) -> Credential:
    sealed = account.credential
    if sealed is None or not sealed.sealed:
        raise CloudError(
            code="FleetOS.NoCredential",
            message=f"Account {account} has no credential. Enter an access key in its settings.",
            retryability=Retryability.REFUSED,
        )
    try:
        opened = json.loads(unseal(sealed.sealed, row_id=str(sealed.pk)).reveal())
    except SealBroken as broken:
        failure = CloudError(
            code="FleetOS.SealBroken",
            message=f"The credential of account {account} does not open: {broken}. Enter it again.",
            retryability=Retryability.REFUSED,
        )
    else:
        return Credential(opened["access_key_id"], Secret(opened["secret"]))
    raise failure
