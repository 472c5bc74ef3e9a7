"""The part of a draft's form that says how the change is carried out: limits, canary, waves, steps."""

from typing import Any

from django import forms

from fleet.changes.drafting.drafts import MOST_MACHINES
from fleet.changes.drafting.rollout import (
    LONGEST_HOLD,
    LONGEST_STEP,
    LONGEST_STOP,
    MOST_TEXT,
    SHORTEST_STEP,
    policy_faults,
)
from fleet.guards.policy import MOST_IN_FLIGHT, Policy, PolicyStep
from fleet.web.shared.forms import Consequences, Form, WholeNumber, fault

USUAL, USUAL_STEP = Policy(), PolicyStep(kind="command")
NEEDED = ("max_in_flight", "failures_allowed")
NUMBERS = ("canary", "canary_failures", "hold_minutes", "wave_size", "force_stop_minutes")
BUDGETS = ("skips_allowed", "wave_failures")
WORDS = ("hold", "growth", "spread_tag")
STEPS = ("before", "after")
IN_WAVES = frozenset({*NUMBERS, *BUDGETS, *WORDS})
IN_STEPS = frozenset(f"{step}_{part}" for step in STEPS for part in ("kind", "text", "webhook", "timeout"))
HOLDS = (
    ("none", "No hold"),
    ("timed", "For some time"),
    ("person", "Until a person says go on"),
)
GROWTHS = (("at_once", "All at once"), ("ramp", "1, 2, 4 and so on"), ("fixed", "Waves of one size"))
KINDS = (("", "No step"), ("command", "A command"), ("webhook", "A webhook"))


def budget(label: str, words: str) -> WholeNumber:
    return WholeNumber(label=label, least=0, most=MOST_MACHINES, required=False, help_text=words)


def number(label: str, most: int, words: str = "") -> WholeNumber:
    return WholeNumber(label=label, least=0, most=most, required=False, help_text=words)


def kind(label: str) -> forms.ChoiceField:
    return forms.ChoiceField(label=label, choices=KINDS, required=False)


def command() -> forms.CharField:
    return forms.CharField(
        label="Command",
        required=False,
        max_length=MOST_TEXT,
        widget=forms.Textarea(attrs={"rows": "3", "class": "mono", "spellcheck": "false"}),
        help_text="Run by Cloud Assistant as root, or as System on Windows. Exit code 0 is good, any other one bad.",
    )


def timeout() -> WholeNumber:
    words = "Without a verdict by then it is inconclusive, and the change waits for a person."
    return WholeNumber(label="Time for it", least=SHORTEST_STEP, most=LONGEST_STEP, required=False, help_text=words)


class RolloutForm(Form):
    """Every field of a policy. What was not sent stays as it was saved; what was sent empty gets its usual value."""

    units = {
        "max_in_flight": "machines",
        "failures_allowed": "machines",
        "skips_allowed": "machines",
        "canary": "machines",
        "canary_failures": "machines",
        "hold_minutes": "min",
        "wave_size": "machines",
        "wave_failures": "machines",
        "force_stop_minutes": "min",
        "before_timeout": "s",
        "after_timeout": "s",
    }

    usual = IN_WAVES | IN_STEPS

    max_in_flight = WholeNumber(
        label="In flight at most",
        least=1,
        most=MOST_IN_FLIGHT,
        missing="Enter how many machines may be out of service at the same time.",
    )
    failures_allowed = WholeNumber(
        label="Failures allowed",
        least=0,
        most=MOST_MACHINES,
        missing="Enter how many machines may fail before it stops; 0 stops it at the first.",
    )
    canary = number("Canary", MOST_MACHINES, "So many go first, alone. 0: none.")
    canary_failures = number("Failures allowed in it", MOST_MACHINES, "One more stops it. 0: the first.")
    hold = forms.ChoiceField(label="Hold after the canary", choices=HOLDS, required=False)
    hold_minutes = number("Length of the hold", LONGEST_HOLD, "Then the next wave opens by itself.")
    growth = forms.ChoiceField(label="Then", choices=GROWTHS, required=False, widget=Consequences)
    wave_size = number("Size of a wave", MOST_MACHINES)
    wave_failures = budget("Failures allowed in a wave", "Empty: only the whole change counts.")
    skips_allowed = budget("Skips allowed", "Machines found changed since the approval. Empty: any number.")
    spread_tag = forms.ChoiceField(
        label="Spread by tag", required=False, help_text="No wave holds two machines with the same value of this tag."
    )
    force_stop_minutes = number("Force a stop after", LONGEST_STOP, "0: never. A forced stop can lose what is unsaved.")
    before_kind = kind("Before each machine")
    before_text = command()
    before_webhook = forms.ChoiceField(label="Webhook", required=False)
    before_timeout = timeout()
    after_kind = kind("After each machine")
    after_text = command()
    after_webhook = forms.ChoiceField(label="Webhook", required=False)
    after_timeout = timeout()

    lenient = False
    saved: Policy

    def offer_rollout(self, *, tag_keys: list[str], webhooks: list[tuple[int, str]]) -> None:
        """Fill the selects; a tag that the machines no longer have stays as long as it is chosen."""
        growth = self.fields["growth"].widget
        assert isinstance(growth, Consequences)
        growth.notes = {
            "at_once": "As fast as the number in flight allows.",
            "ramp": "Waves that double, up to the number in flight.",
            "fixed": "The next one opens when the one before has ended.",
        }
        growth.attrs["class"] = "three"
        keys = sorted({*tag_keys, *([self.saved.spread_tag] if self.saved.spread_tag else [])})
        self._choices("spread_tag", [("", "No tag"), *((key, key) for key in keys)], "No machine has this tag.")
        offered = [("", "None"), *((str(pk), name) for pk, name in webhooks)]
        for step in STEPS:
            self._choices(f"{step}_webhook", offered, "This webhook is not registered for steps.")
            if not webhooks:
                self.fields[f"{step}_webhook"].help_text = "None is registered yet. An administrator does that."
        for name in ("hold", "growth", "before_kind", "after_kind"):
            self.fields[name].error_messages["invalid_choice"] = "This is none of the choices. Choose one of them."

    def _choices(self, name: str, choices: list[tuple[str, str]], fault_words: str) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices
        field.error_messages["invalid_choice"] = f"{fault_words} Choose one from the list."

    def clean_rollout(self) -> None:
        """Put what contradicts another field at its own field, where that field has no error yet."""
        for name, fact, do in policy_faults(self.policy()):
            if name not in self.errors:
                self.add_error(name, fault(fact, do))

    def policy(self) -> Policy:
        """Return the policy; a field in error, or one that was not sent, counts as it was saved."""
        stored: dict[str, Any] = self.saved.as_json()
        for name in NEEDED:
            stored[name] = self._read(name, stored[name], stored[name])
        for name in NUMBERS:
            stored[name] = self._read(name, stored[name], 0)
        for name in BUDGETS:
            stored[name] = self._read(name, stored[name], None)
        for name in WORDS:
            stored[name] = self._read(name, stored[name], getattr(USUAL, name))
        policy = Policy.of(stored | {"before": None, "after": None})
        return Policy.of(policy.as_json() | {name: self._step(name) for name in STEPS})

    def _step(self, name: str) -> dict[str, Any] | None:
        saved: PolicyStep | None = getattr(self.saved, name)
        chosen = self._read(f"{name}_kind", saved.kind if saved else "", "")
        if not chosen:
            return None
        webhook = self._read(f"{name}_webhook", str(saved.webhook or "") if saved else "", "")
        text = self._read(f"{name}_text", saved.text if saved else "", "")
        seconds = self._read(f"{name}_timeout", (saved or USUAL_STEP).timeout, USUAL_STEP.timeout)
        return {
            "kind": chosen,
            "text": text.strip() if chosen == "command" else "",
            "webhook": int(webhook) if webhook and chosen == "webhook" else None,
            "timeout": seconds,
        }

    def _read(self, name: str, saved: Any, empty: Any) -> Any:
        cleaned = getattr(self, "cleaned_data", {}) if self.is_bound else {}
        if name not in cleaned or name not in self.data:
            return saved
        return empty if cleaned[name] in (None, "") else cleaned[name]


def initial_rollout(policy: Policy) -> dict[str, Any]:
    """Return a saved policy as the form shows it."""
    initial = policy.as_json()
    for name in BUDGETS:
        initial[name] = "" if initial[name] is None else initial[name]
    for name in STEPS:
        step: PolicyStep | None = getattr(policy, name)
        initial |= {
            f"{name}_kind": step.kind if step else "",
            f"{name}_text": step.text if step else "",
            f"{name}_webhook": str(step.webhook or "") if step else "",
            f"{name}_timeout": (step or USUAL_STEP).timeout,
        }
    return initial
