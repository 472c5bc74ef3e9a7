"""What acts on a change have in common: the lock under which each is done, and the bell that calls the worker."""

from django_q.tasks import async_task

from fleet.lib.refused import Refused
from fleet.models import Change


def locked(change_id: int) -> Change:
    """Return the change, locked until the transaction ends, so that no two acts on it interleave."""
    try:
        return Change.objects.select_for_update(of=("self",)).select_related("secret", "author").get(pk=change_id)
    except Change.DoesNotExist:
        raise Refused("This change does not exist.", kind="forbidden") from None


def wake() -> None:
    """Ring the worker's bell in the transaction that is open. A lost ring delays and never loses: the schedule rings too."""
    async_task("fleet.worker.tick")
