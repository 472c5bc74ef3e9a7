"""Two people at the same instant: the database decides, and the loser reads a sentence."""

import threading

from django.db import connection

from fleet.changes.drafting import drafts
from fleet.lib.clock import DatabaseClock
from fleet.models import Change, ChangeState, Target
from tests.support import fleets
from tests.support.databases import CommittedDatabase
from tests.support.emulator import Emulator

ROUNDS = 10


def test_of_two_who_submit_the_same_machine_at_once_one_goes_on(
    committed_db: CommittedDatabase, emulator: Emulator
) -> None:
    fleets.mirror(emulator)
    image = fleets.image_named("Ubuntu 24.04")
    machines = fleets.plain(ROUNDS + 1)
    for place in range(ROUNDS):
        shared = machines[place : place + 2]
        pks = [fleets.draft(shared, image, DatabaseClock().now()).pk for _ in range(2)]
        said: list[str] = []
        together = threading.Barrier(2)

        def submit(pk: int, together: threading.Barrier = together, said: list[str] = said) -> None:
            try:
                actor, now = fleets.person("operator"), DatabaseClock().now()
                together.wait(timeout=10)
                typed = fleets.settings(image, title="Typed last")
                drafts.submit(actor=actor, change_id=pk, now=now, settings=typed)
            except drafts.NotSubmitted as refused:
                said.append(refused.sentence)
            finally:
                connection.close()

        threads = [threading.Thread(target=submit, args=[pk]) for pk in pks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)

        checking = Change.objects.get(pk__in=pks, state=ChangeState.CHECKING)
        assert Target.objects.filter(open=True, change__in=pks).count() == 2
        assert len(said) == 1
        assert f"#{checking.pk}" in said[0]
        drafting_again = Change.objects.get(pk__in=pks, state=ChangeState.DRAFT)
        assert drafting_again.targets.count() == 2, "the loser keeps everything"
        assert drafting_again.title == "Typed last"
        Target.objects.filter(change=checking).update(open=False)
