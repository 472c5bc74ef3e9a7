"""People and their roles, by account and by environment."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q


class Role(models.TextChoices):
    VIEWER = "viewer", "Viewer"
    OPERATOR = "operator", "Operator"
    APPROVER = "approver", "Approver"
    AUDITOR = "auditor", "Auditor"
    ADMIN = "admin", "Administrator"


class User(AbstractUser):
    """A person who signs in. `is_superuser` opens no door here: grants alone decide."""

    mail_news = models.BooleanField(default=True, help_text="E-mail when a change waits for this person or moved")


# Where a machine is, as grants see it: account id (None: every account) and environment (empty: every one, or none at all).
Scope = tuple[int | None, str]
EVERYWHERE: Scope = (None, "")


class GrantQuerySet(models.QuerySet["Grant"]):
    def covering(self, scope: Scope) -> "GrantQuerySet":
        """Narrow to the grants that cover all of this scope, as `Grant.covers` says of one."""
        account_id, environment = scope
        return self.filter(Q(account=None) | Q(account=account_id), Q(environment="") | Q(environment=environment))


class Grant(models.Model):
    """A role of a person, everywhere, or in one account, or in one environment (the value of the machines' `env` tag)."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="grants")
    role = models.CharField(max_length=16, choices=Role.choices)
    account = models.ForeignKey("fleet.Account", on_delete=models.CASCADE, null=True, blank=True)
    environment = models.CharField(max_length=64, blank=True)

    objects = GrantQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "role", "account", "environment"], nulls_distinct=False, name="grant_once"
            ),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="grant_role_known"),
        ]

    def covers(self, scope: Scope) -> bool:
        """Say whether it holds in all of this scope (`covering` in queries)."""
        account_id, environment = scope
        return self.account_id in (None, account_id) and self.environment in ("", environment)

    def covered(self, prefix: str = "") -> Q:
        """Return the condition that it covers the instance at `prefix`, as `covers` says of the scope of one."""
        condition = Q()
        if self.account_id is not None:
            condition &= Q(**{f"{prefix}account": self.account_id})
        if self.environment:
            condition &= Q(**{f"{prefix}environment": self.environment})
        return condition
