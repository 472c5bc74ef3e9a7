"""Steps before and after: a command or a webhook, good, bad, or inconclusive."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from fleet.changes.running import held_machines
from fleet.engine.codes import INCONCLUSIVE
from fleet.engine.results import State
from fleet.guards.policy import PolicyStep
from fleet.lib.clock import ManualClock
from fleet.lib.signing import key_of, sign
from fleet.models import AuditEvent, Change, ChangeState, Outcome, Webhook
from fleet.vault.webhook_keys import make_secret
from tests.engine.runs import made, operator, outcomes, power, rows, run, states
from tests.support import fleets
from tests.support.emulator import Emulator

pytestmark = pytest.mark.django_db
COMMAND = PolicyStep(kind="command", text="systemctl is-active web", timeout=120)


def policy(**given: Any) -> fleets.Policy:
    return fleets.Policy(**({"max_in_flight": 60, "failures_allowed": 9} | given))


def runs_of_commands(emulator: Emulator) -> list[dict[str, Any]]:
    return [call for call in emulator.journal(action="RunCommand") if not call.get("code")]


def test_many_machines_are_asked_in_one_call(fleet: Emulator, clock: ManualClock) -> None:
    change = run(6, clock, policy=policy(before=COMMAND, after=COMMAND))
    fleets.drive(clock)
    assert outcomes(change) == {Outcome.SUCCEEDED: 6}
    assert len(runs_of_commands(fleet)) == 2
    assert AuditEvent.objects.filter(change=change, action="instance.step_asked").count() == 12


def test_a_bad_step_before_leaves_the_machine_untouched(fleet: Emulator, clock: ManualClock) -> None:
    machine, other = fleets.plain(2)
    fleet.faults({"action": "RunCommand", "kind": "serves_not", "instance": machine.instance_id, "times": 1})
    change = run([machine, other], clock, policy=policy(before=COMMAND))
    fleets.drive(clock)

    row = change.replacements.get(instance=machine)
    assert (row.outcome, row.error_code) == (Outcome.FAILED_UNTOUCHED, "BeforeStepFailed")
    assert "The command ended with 1. It said: the service does not answer" in row.note
    assert power(machine, fleet) == "Running"
    assert {disk["instance_id"] for disk in made(fleet)} == {other.instance_id}


def test_a_service_that_does_not_come_back_counts_and_stops_the_next_wave(fleet: Emulator, clock: ManualClock) -> None:
    machines = fleets.plain(3)
    fleet.faults({"action": "ReplaceSystemDisk", "kind": "serves_not", "instance": machines[0].instance_id})
    change = run(machines, clock, policy=policy(after=COMMAND, canary=1, failures_allowed=0))
    fleets.drive(clock)

    change.refresh_from_db()
    assert change.state == ChangeState.TRIPPED
    assert outcomes(change) == {Outcome.FAILED_REPLACED: 1, "": 2}
    assert rows(change)[0].error_code == "AfterStepFailed"


def test_no_verdict_is_neither_and_waits_for_a_person(fleet: Emulator, clock: ManualClock) -> None:
    machines = fleets.plain(3)
    fleet.faults({"action": "RunCommand", "kind": "stuck", "instance": machines[0].instance_id, "times": 0})
    change = run(machines, clock, policy=policy(after=COMMAND, canary=1, failures_allowed=0))
    fleets.drive(clock)

    change.refresh_from_db()
    row = rows(change)[0]
    assert (row.state, row.error_code, row.held_from) == (State.HELD, INCONCLUSIVE, State.AFTER)
    assert change.state == ChangeState.RUNNING
    assert states(change) == {State.HELD: 1, State.QUEUED: 2}

    fleet.faults()
    held_machines.judge_inconclusive(
        actor=operator(), change_id=change.pk, replacement_ids=[row.pk], serves=True, now=clock.now()
    )
    fleets.drive(clock)
    assert outcomes(change) == {Outcome.SUCCEEDED: 3}


def test_a_person_may_say_that_it_does_not_serve(fleet: Emulator, clock: ManualClock) -> None:
    fleet.faults({"action": "RunCommand", "kind": "stuck", "times": 0})
    change = run(1, clock, policy=policy(after=COMMAND))
    fleets.drive(clock)
    row = rows(change).get()
    held_machines.judge_inconclusive(
        actor=operator(), change_id=change.pk, replacement_ids=[row.pk], serves=False, now=clock.now()
    )
    change.refresh_from_db()
    assert (outcomes(change), change.state) == ({Outcome.FAILED_REPLACED: 1}, ChangeState.FINISHED)


def test_inconclusive_before_goes_on_where_a_person_says_so(fleet: Emulator, clock: ManualClock) -> None:
    fleet.faults({"action": "RunCommand", "kind": "stuck", "times": 0})
    change = run(1, clock, policy=policy(before=COMMAND))
    fleets.drive(clock)
    row = rows(change).get()
    assert (row.held_from, made(fleet)) == (State.BEFORE, [])
    held_machines.judge_inconclusive(
        actor=operator(), change_id=change.pk, replacement_ids=[row.pk], serves=True, now=clock.now()
    )
    fleets.drive(clock)
    assert outcomes(change) == {Outcome.SUCCEEDED: 1}


@pytest.mark.parametrize("kind", ["drop", "commit_then_drop"])
def test_a_command_whose_answer_was_lost_runs_once(fleet: Emulator, clock: ManualClock, kind: str) -> None:
    fleet.faults({"action": "RunCommand", "kind": kind, "times": 1})
    change = run(3, clock, policy=policy(after=COMMAND))
    fleets.drive(clock)
    assert outcomes(change) == {Outcome.SUCCEEDED: 3}
    assert len({call["client_token"] for call in fleet.journal(action="RunCommand")}) == 1


def test_a_machine_that_stays_stopped_is_asked_nothing(fleet: Emulator, clock: ManualClock) -> None:
    machine = fleets.plain(1, status="Stopped", stopped_mode="KeepCharging")[0]
    change = run([machine], clock, policy=policy(before=COMMAND, after=COMMAND))
    fleets.drive(clock)
    assert outcomes(change) == {Outcome.SUCCEEDED: 1}
    assert runs_of_commands(fleet) == []


class Receiver:
    """A receiver of webhooks on loopback that answers as it is told."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answer: Callable[[dict[str, Any], int], tuple[int, str]] = lambda data, seen: (200, '{"verdict": "good"}')
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                status, text = receiver.answer(json.loads(body)["data"], len(receiver.got))
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/steps"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    served = Receiver()
    yield served
    served.server.shutdown()
    served.server.server_close()


def hooked(receiver: Receiver) -> tuple[PolicyStep, bytes]:
    sealed, told = make_secret()
    hook = Webhook.objects.create(name="steps", purpose=Webhook.Purpose.STEP, url=receiver.url, secret=sealed)
    return PolicyStep(kind="webhook", webhook=hook.pk, timeout=120), key_of(told.reveal())


def test_a_webhook_is_signed_and_its_answer_is_the_verdict(
    fleet: Emulator, clock: ManualClock, receiver: Receiver
) -> None:
    step, key = hooked(receiver)
    good, bad, waiting = fleets.plain(3)
    verdicts = {good.instance_id: "good", bad.instance_id: "bad"}
    asked: dict[str, int] = {}

    def answer(data: dict[str, Any], seen: int) -> tuple[int, str]:
        name = data["instance_id"]
        asked[name] = asked.get(name, 0) + 1
        later = "pending" if asked[name] < 3 else "good"
        return 200, json.dumps({"verdict": verdicts.get(name, later), "words": "checked"})

    receiver.answer = answer
    change = run([good, bad, waiting], clock, policy=policy(after=step))
    fleets.drive(clock)

    assert outcomes(change) == {Outcome.SUCCEEDED: 2, Outcome.FAILED_REPLACED: 1}
    for sent, body in receiver.got:
        assert sent["webhook-signature"] == sign(key, sent["webhook-id"], int(sent["webhook-timestamp"]), body)
    ids = [sent["webhook-id"] for sent, _ in receiver.got]
    assert (len(ids), len(set(ids))) == (5, 3), "one id a machine, however often it is asked"


@pytest.mark.parametrize(
    ("status", "text"), [(500, ""), (200, "OK"), (200, '{"verdict": "maybe"}'), (410, ""), (302, ""), (200, "[]")]
)
def test_an_answer_that_says_nothing_is_inconclusive(
    fleet: Emulator, clock: ManualClock, receiver: Receiver, status: int, text: str
) -> None:
    step, _ = hooked(receiver)
    receiver.answer = lambda data, seen: (status, text)
    change = run(1, clock, policy=policy(before=step))
    fleets.drive(clock)
    row = rows(change).get()
    assert (row.state, row.error_code) == (State.HELD, INCONCLUSIVE)
    assert Change.objects.get(pk=change.pk).state == ChangeState.RUNNING
    assert made(fleet) == []
