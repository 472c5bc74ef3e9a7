"""People and what they may do, by account and by environment."""

from django.contrib.auth.models import AbstractUser
from django.db import models


class Role(models.TextChoices):
    VIEWER = "viewer", "Viewer"
    OPERATOR = "operator", "Operator"
    APPROVER = "approver", "Approver"
    AUDITOR = "auditor", "Auditor"
    ADMIN = "admin", "Administrator"


class User(AbstractUser):
    """A person who signs in. `is_superuser` opens no door here: grants alone decide."""

    mail_news = models.BooleanField(default=True, help_text="E-mail when a change waits for this person or moved")


class GrantQuerySet(models.QuerySet["Grant"]):
    def covering(self, *, account_id: int | None = None, environment: str | None = None) -> "GrantQuerySet":
        """Narrow to the grants that cover this account and this environment; None asks for any."""
        grants = self
        if account_id is not None:
            grants = grants.filter(models.Q(account=None) | models.Q(account=account_id))
        if environment is not None:
            grants = grants.filter(models.Q(environment="") | models.Q(environment=environment))
        return grants


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
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="grant_role_known"),
        ]
