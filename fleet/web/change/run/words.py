"""The acts on a run in words: what their links and buttons say, with which glyph, and what is said once it is done."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fleet.changes.permissions import Act


@dataclass(frozen=True, slots=True)
class RunActWords:
    """One act in words; `fleet.changes.running.acts` has an act of the same name for each.

    `link` leads to the preview, which has `title`, and there `button` does it, or one of `choices` (value and words) in its
    place. `done` is said then, {n} standing for the machines that it was done to. `asks` is the question that a reason
    answers, empty where none is asked for.
    """

    glyph: str
    link: str
    title: str
    button: str
    done: str
    asks: str = ""
    danger: bool = False
    primary: bool = False
    choices: tuple[tuple[str, str], ...] = ()


# In the order in which the page shows them.
WORDS: dict[str, RunActWords] = {
    "ask_for_rest": RunActWords(
        "review",
        "Ask for a fresh approval",
        "Ask for a fresh approval of the rest",
        "Ask for it",
        "Asked: reviewers find it in their inbox.",
        asks="What failed, and why will the rest not?",
        primary=True,
    ),
    "resume_rest": RunActWords(
        "play", "Let the rest go on", "Let the rest go on", "Let the rest go on", "The rest goes on.", primary=True
    ),
    "promote": RunActWords(
        "play", "Promote", "Promote the canary", "Open the rest", "The next wave is open.", primary=True
    ),
    "resume": RunActWords("play", "Let it go on", "Let it go on", "Let it go on", "It goes on.", primary=True),
    "pause": RunActWords("pause", "Pause", "Pause", "Pause", "Paused: nothing new begins."),
    "cancel": RunActWords(
        "abort",
        "End it here",
        "End it here",
        "End it here",
        "Ended: what had not begun keeps its old system.",
        danger=True,
    ),
    "look_again": RunActWords("retry", "Look again", "Look again", "Look again", "{n} given back to the engine."),
    "skip": RunActWords("cancel", "Skip", "Skip", "Skip", "{n} skipped."),
    "give_up": RunActWords("bad", "Give up", "Give up", "Give up", "{n} given up.", danger=True),
    "judge": RunActWords(
        "person",
        "Say whether it serves",
        "Say whether it serves",
        "",
        "{n} judged.",
        choices=(("yes", "It serves"), ("no", "It does not serve")),
    ),
    "ask_retry": RunActWords(
        "disk",
        "Ask to retry",
        "Ask to replace once more",
        "Ask to retry",
        "{n}: another person is asked to agree.",
        asks="Why should it be tried once more?",
    ),
    "agree_retry": RunActWords("ok", "Agree", "Agree to replace once more", "Agree", "{n} begun once more."),
    "withdraw_retry": RunActWords("cancel", "Take it back", "Take the retry back", "Take it back", "Taken back."),
}


@dataclass(frozen=True, slots=True)
class Button:
    """A link to the preview of an act: its name in addresses, and its words."""

    act: str
    words: RunActWords


def button(name: str, may: Mapping[str, Act]) -> Button | None:
    """Return the link to this act, None where this person may not do it now."""
    return next(iter(buttons([name], may)), None)


def buttons(names: Iterable[str], may: Mapping[str, Act]) -> list[Button]:
    """Return the links to those of these acts that this person may do now."""
    return [Button(name, WORDS[name]) for name in names if may[name].allowed]
