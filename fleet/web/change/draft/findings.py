"""What judging every machine found, under the fields of a draft: errors, warnings and good news."""

from fleet.changes.judging.judgement import Cause, DraftJudgement
from fleet.engine.results import State
from fleet.lib.text import age, count, listed
from fleet.models import Login
from fleet.web.change.draft.form import DraftForm
from fleet.web.shared.forms import fault

# The fields whose findings come from judging every machine.
JUDGED = frozenset({"image_id", "disk_size", "login", "key_pair", "password", "forget_password"})


def show_findings(form: DraftForm, judgement: DraftJudgement | None, *, as_errors: bool = False) -> None:
    """Show under each field what it does to the machines; with `as_errors`, what blocks a machine is an error of the form.

    Without a judgement only what needs no machine is shown.
    """
    if form.is_bound and form.has_sealed and form.cleaned_data.get("forget_password"):
        form.say("forget_password", "warn", "It is destroyed as soon as the draft is saved.")
    _show_rollout(form, (judgement.total - judgement.blocked if judgement else 0) or form.choices.machines)
    _show_snapshot(form)
    if judgement is None:
        return
    disk_request = form.disk_request()
    found = judgement.by_field()
    for (name, _, _), cause in found.items():
        empty = (name == "image_id" and not disk_request.image_id) or (name == "key_pair" and not disk_request.key_pair)
        if empty or name not in form.fields or name in form.errors:
            continue
        fact, do = words_of(cause, judgement.total)
        if as_errors:
            form.add_error(name, fault(fact, do, code=cause.problem.api_code))
        else:
            form.say(name, "bad", fact, do, code=cause.problem.api_code)
    _show_good_news(form, judgement, troubled={name for name, _, _ in found})


def _show_rollout(form: DraftForm, machines: int) -> None:
    """Say what the two limits mean for these machines, in place of the help text: neither good news nor a warning."""
    policy = form.policy()
    nth = policy.failures_allowed + 1
    many = min(policy.max_in_flight, machines)
    form["max_in_flight"].help_text = f"{count(many, 'machine is', 'machines are')} out of service at a time."
    form["failures_allowed"].help_text = (
        f"{'The first failure' if nth == 1 else f'Failure {nth:,}'} stops it:"
        f" at most {policy.worst_case(machines):,} of {machines:,} are lost before it stops by itself."
    )

    if policy.canary >= machines > 1:
        form.say(
            "canary",
            "warn",
            f"The canary takes all {machines:,} machines.",
            "A smaller one shows less, and loses less.",
        )
    if policy.canary_failures > policy.failures_allowed:
        fact = f"The whole change stops at failure {nth:,} already."
        form.say("canary_failures", "warn", fact, "Allow fewer here, or more in the whole.")
    if policy.hold != "none" and not policy.canary:
        form.say("hold", "warn", "There is no canary to hold after.", "Enter how many machines go first.")
    if policy.wave_failures is not None and policy.wave_failures > policy.failures_allowed:
        fact = f"The whole change stops at failure {nth:,} already."
        form.say("wave_failures", "warn", fact, "Allow fewer here, or more in the whole.")


def _show_snapshot(form: DraftForm) -> None:
    days, field = form.snapshot_days_asked(), form["snapshot"]
    field.help_text = "Without it nothing can be undone."
    if days is not None:
        longer = age(form.choices.seconds[State.SNAPSHOTTING])
        can = f"Each machine can be put back for {count(days, 'day')}."
        field.help_text = f"{can} It takes about {longer} longer, and is billed by size."


def _show_good_news(form: DraftForm, judgement: DraftJudgement, *, troubled: set[str]) -> None:
    disk_request = form.disk_request()
    by_hand = sum(1 for image in judgement.images.values() if image.how in ("copied", "chosen"))
    if disk_request.image_id and "image_id" not in troubled and "image_id" not in form.errors:
        where = "In the machines' region" if form.choices.regions == 1 else f"In all {form.choices.regions} regions"
        other = f" In {count(by_hand, 'place')} by another id: see below." if by_hand else ""
        form.say("image_id", "ok", f"{where}, and it fits {_all_of(judgement.total)}.{other}")
    if disk_request.login == Login.KEY_PAIR and disk_request.key_pair and "key_pair" not in troubled:
        form.say(
            "key_pair", "ok", "It is in the machines' region." if form.choices.regions == 1 else "It is in all regions."
        )
    for cause in judgement.warned_of:
        if cause.problem.code == "windows_key_pair":
            fact = f"Windows ignores key pairs: {_of(cause.machines, judgement.total)}."
            form.say("key_pair", "warn", fact, "A password, given below, still counts there.")
        if cause.problem.code == "password_unused":
            fact = f"Not used on Linux: {_of(cause.machines, judgement.total)}."
            form.say("password", "warn", fact, "With a key pair, Linux turns password sign-in off.")


def words_of(cause: Cause, total: int) -> tuple[str, str]:
    """Return the fact and what to do, for a field whose value does not suit some of the machines."""
    problem, machines = cause.problem, cause.machines
    if problem.code == "InvalidSystemDiskSize.ValueNotSupported":
        sizes = cause.sizes
        fact = f"{_of(machines, total)} {'has' if machines == 1 else 'have'} a larger disk now"
        known = listed([f"{size:,}" for size in sizes])
        fact = fact[0].upper() + fact[1:]
        return (
            f"{fact} ({known} GiB), and a system disk cannot shrink.",
            f"Enter {sizes[-1]:,} or more, or leave it empty.",
        )
    do = problem.do if problem.do.endswith(".") else f"{problem.do}."
    why = problem.why.rstrip(".")
    return (f"{why}." if total == machines else f"{why}: {_of(machines, total)}."), do


def _of(part: int, total: int) -> str:
    return _all_of(total) if part == total else f"{part:,} of {count(total, 'machine')}"


def _all_of(total: int) -> str:
    return "the machine" if total == 1 else f"all {total:,} machines"
