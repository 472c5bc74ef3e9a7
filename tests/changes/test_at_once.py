"""Two people at the same instant: the database decides, and the loser reads a sentence."""

import threading
from typing import Any

import psycopg
import pytest
from django.db import connection

from fleet.changes.drafting import drafts
from fleet.changes.judging.judgement import DraftJudgement, judge_draft
from fleet.lib.clock import DatabaseClock
from fleet.models import Change, ChangeState, Target
from tests.support import fleets
from tests.support.databases import CommittedDatabase
from tests.support.emulator import Emulator

ROUNDS = 10


@pytest.mark.parametrize("both_type", [True, False], ids=["both type something", "one submits what is there"])
def test_of_two_who_submit_the_same_machine_at_once_one_goes_on(
    committed_db: CommittedDatabase, emulator: Emulator, both_type: bool
) -> None:
    fleets.mirror(emulator)
    image = fleets.image_named("Ubuntu 24.04")
    machines = fleets.plain(ROUNDS + 1)
    for place in range(ROUNDS):
        shared = machines[place : place + 2]
        pks = [fleets.draft(shared, image, DatabaseClock().now()).pk for _ in range(2)]
        said: list[str] = []
        together = threading.Barrier(2)

        def submit(pk: int, title: str, together: threading.Barrier = together, said: list[str] = said) -> None:
            try:
                actor, now = fleets.person("operator"), DatabaseClock().now()
                typed = fleets.settings(image, title=title)
                together.wait(timeout=10)
                drafts.submit(actor=actor, change_id=pk, now=now, settings=typed)
            except drafts.NotSubmitted as refused:
                said.append(refused.sentence)
            finally:
                connection.close()

        titles = dict(
            zip(pks, ["Typed last", "Typed last" if both_type else fleets.settings(image).title], strict=True)
        )
        threads = [threading.Thread(target=submit, args=each) for each in titles.items()]
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
        assert drafting_again.title == titles[drafting_again.pk]
        Target.objects.filter(change=checking).update(open=False)


def test_the_trail_is_free_while_the_machines_of_a_submission_are_judged(
    committed_db: CommittedDatabase, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever holds its head and then judges 10,000 machines keeps every worker from its calls."""
    fleets.mirror(emulator)
    image = fleets.image_named("Ubuntu 24.04")
    change = fleets.draft(fleets.plain(2), image, DatabaseClock().now())
    judged = []

    def judge_and_look(**given: Any) -> DraftJudgement:
        with psycopg.connect(committed_db.url) as other:
            judged.append(other.execute("SELECT number FROM fleet_audithead FOR UPDATE NOWAIT").fetchone())
        return judge_draft(**given)

    monkeypatch.setattr(drafts, "judge_draft", judge_and_look)
    actor, typed = fleets.person("operator"), fleets.settings(image, title="Typed last")
    drafts.submit(actor=actor, change_id=change.pk, now=DatabaseClock().now(), settings=typed)
    assert judged
