"""What administrators do to people and their roles. Nobody changes their own, so that there is always an administrator left.

A new person has no password. An administrator hands over a code that is shown once; with it the person chooses a password of
their own, which the administrator never knows. The code is used up by that, and expires by itself.
"""

import re
from dataclasses import dataclass

from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction

from fleet.administration.authority import account_of, require_administrator, scope_words
from fleet.audit.trail import record
from fleet.lib.refused import Refused
from fleet.lib.secret import Secret
from fleet.models import Grant, Role, User

NAME = re.compile(r"[A-Za-z0-9@.+_-]{1,64}")


@dataclass(frozen=True, slots=True)
class GrantInput:
    """A role as an administrator typed it: everywhere, in one account, in one environment, or where both hold."""

    role: str
    account_id: int | None
    environment: str


@transaction.atomic
def add_person(*, actor: User, name: str, email: str, given: GrantInput) -> User:
    """Add a person with a first role, and without a password."""
    require_administrator(actor, "Adding people", None)
    name, email = name.strip(), email.strip()
    if not NAME.fullmatch(name):
        raise Refused("Write the name with letters, digits and @ . + - _, at most 64.", field="name")
    if email:
        try:
            validate_email(email)
        except ValidationError:
            raise Refused("This is no e-mail address. Correct it, or leave it empty.", field="email") from None
    if User.objects.filter(username__iexact=name).exists():
        raise Refused(f"There is a person {name} already. Choose another name.", field="name")
    person = User(username=name, email=email)
    person.set_unusable_password()
    try:
        with transaction.atomic():
            person.save()
    except IntegrityError:
        raise Refused(f"There is a person {name} already. Choose another name.", field="name") from None
    made = _grant(person, given)
    record(action="person.added", actor=actor, subject=name, data={"email": email, "role": words_of(made)})
    return person


@transaction.atomic
def grant(*, actor: User, person_id: int, given: GrantInput) -> Grant:
    """Grant a role to somebody else."""
    require_administrator(actor, "Granting a role", given.account_id)
    person = _other(actor, person_id)
    made = _grant(person, given)
    record(
        action="person.granted",
        actor=actor,
        subject=f"{person}: {words_of(made)}",
        account=made.account,
        data={"person": str(person), "role": made.role, "environment": made.environment},
    )
    return made


@transaction.atomic
def revoke(*, actor: User, person_id: int, grant_id: int) -> None:
    """Take a role away from somebody else, from their next click on."""
    person = _other(actor, person_id)
    revoked = person.grants.select_for_update(of=("self",)).select_related("account").filter(pk=grant_id).first()
    if revoked is None:
        raise Refused("This role was taken away already. Look at the present state.", kind="moved")
    require_administrator(actor, "Taking a role away", revoked.account_id)
    words = words_of(revoked)
    revoked.delete()
    record(
        action="person.revoked",
        actor=actor,
        subject=f"{person}: {words}",
        account=revoked.account,
        data={"person": str(person), "role": revoked.role, "environment": revoked.environment},
    )


@transaction.atomic
def set_active(*, actor: User, person_id: int, active: bool) -> User:
    """Activate somebody else, or deactivate them: their open sessions end with the next click."""
    require_administrator(actor, "Deactivating people" if not active else "Activating people", None)
    person = _other(actor, person_id)
    if person.is_active == active:
        raise Refused(f"{person} is {'active' if active else 'deactivated'} already.", kind="moved")
    person.is_active = active
    person.save(update_fields=["is_active"])
    record(action="person.activated" if active else "person.deactivated", actor=actor, subject=str(person))
    return person


@transaction.atomic
def invite(*, actor: User, person_id: int) -> Secret:
    """Return a code with which somebody else chooses a password once; until then the password that they have is valid."""
    require_administrator(actor, "Making a code", None)
    person = _other(actor, person_id)
    if not person.is_active:
        raise Refused(f"{person} is deactivated. Activate them first.", kind="moved")
    record(action="person.invited", actor=actor, subject=str(person))
    return Secret(default_token_generator.make_token(person))


@transaction.atomic
def choose_password(*, name: str, code: Secret, password: Secret) -> User:
    """Set the password of whoever has a code. A wrong name and a wrong code are refused by the same sentence."""
    person = User.objects.select_for_update().filter(username=name, is_active=True).first()
    if person is None or not default_token_generator.check_token(person, code.reveal().strip()):
        raise Refused("Name and code do not fit together, or the code was used or has expired. Ask for a new one.")
    try:
        validate_password(password.reveal(), person)
    except ValidationError as wrong:
        raise Refused(" ".join(wrong.messages), field="password") from None
    person.set_password(password.reveal())
    person.save(update_fields=["password"])
    record(action="person.password_set", actor=person, subject=str(person))
    return person


def words_of(granted: Grant) -> str:
    """Return a grant as people read it: `operator, everywhere`."""
    where = scope_words(granted.account, "", granted.environment)
    return f"{Role(granted.role).label.lower()}, {'everywhere' if where == 'every machine' else where}"


def _grant(person: User, given: GrantInput) -> Grant:
    if given.role not in Role.values:
        raise Refused("There is no such role. Choose one from the list.", field="role")
    account = account_of(given.account_id)
    environment = given.environment.strip()
    made, created = Grant.objects.get_or_create(
        user=person, role=given.role, account=account, environment=environment[:64]
    )
    if not created:
        raise Refused(f"{person} has this role already.", field="role")
    return made


def _other(actor: User, person_id: int) -> User:
    found = User.objects.select_for_update(of=("self",)).filter(pk=person_id).first()
    if found is None:
        raise Refused("There is no such person any more. Look at the list.", kind="moved")
    if found.pk == actor.pk:
        raise Refused("Nobody changes what they may do themselves. Ask another administrator.", kind="forbidden")
    return found
