"""A small fleet and its people, in rows: what the tests of the screens look at."""

from datetime import timedelta
from typing import Any

from django.test import Client

from fleet.lib.clock import DatabaseClock
from fleet.models import (
    Account,
    Change,
    Contributor,
    Grant,
    Image,
    Instance,
    RegionMirror,
    Replacement,
    Role,
    SystemDisk,
    Target,
    User,
)
from tests.support.pages import PageClient
from tests.support.rules import rules_off

PASSWORD = "correct horse battery"
UBUNTU, CENTOS, WINDOWS = "Ubuntu 24.04 64 bit", "CentOS 7.9 64 bit", "Windows Server 2022 Datacenter 64bit"


def person(name: str, *roles: Role, account: Account | None = None, environment: str = "") -> User:
    """Make a person with these roles in this scope."""
    user = User.objects.create_user(name, password=PASSWORD)
    for role in roles:
        Grant.objects.create(user=user, role=role, account=account, environment=environment)
    return user


def signed_in(user: User) -> Client:
    client = PageClient()
    client.force_login(user)
    return client


def account(name: str = "prod", *, regions: tuple[str, ...] = ("cn-hangzhou", "cn-shanghai")) -> Account:
    """Make an account at a loopback endpoint whose regions were read ten seconds ago."""
    made = Account.objects.create(name=name, regions=list(regions), endpoint="127.0.0.1:8700")
    read = DatabaseClock().now() - timedelta(seconds=10)
    for region in regions:
        RegionMirror.objects.create(account=made, region=region, synced_at=read)
    return made


def machine(of: Account, number: int, **fields: Any) -> Instance:
    """Make machine `web-<number>`, with its disk."""
    values: dict[str, Any] = {
        "region": "cn-hangzhou",
        "zone": "cn-hangzhou-h",
        "instance_id": f"i-{of.name}{number:04}",
        "name": f"web-{number:04}",
        "status": "Running",
        "instance_type": "ecs.g7.large",
        "os_type": "linux",
        "os_name": UBUNTU,
        "image_id": "ubuntu_24_04_x64",
        "charge_type": "PostPaid",
        "private_ip": f"10.0.{number // 250}.{number % 250 + 1}",
        "tags": {"env": "prod", "service": "web"},
        "environment": "prod",
        "disk_id": f"d-{of.name}{number:04}",
        "disk_size": 40,
        "disk_category": "cloud_essd",
        "seen_at": DatabaseClock().now(),
    } | fields
    values.setdefault("search", f"{values['name']} {values['instance_id']} {values['private_ip']}".lower())
    made = Instance.objects.create(account=of, **values)
    SystemDisk.objects.create(
        instance=made,
        disk_id=made.disk_id,
        image_id=made.image_id,
        os_name=made.os_name,
        size=made.disk_size,
        created_at=made.seen_at - timedelta(days=400),
        first_seen_at=made.seen_at,
    )
    return made


def image(of: Account, image_id: str = "ubuntu_24_04_x64", **fields: Any) -> Image:
    values: dict[str, Any] = {
        "region": "cn-hangzhou",
        "os_type": "linux",
        "os_name": UBUNTU,
        "architecture": "x86_64",
        "size": 20,
        "owner": "system",
        "status": "Available",
        "seen_at": DatabaseClock().now(),
    } | fields
    return Image.objects.create(account=of, image_id=image_id, **values)


def change(author: User, machines: list[Instance], **fields: Any) -> Change:
    """Make a change with these machines; its targets are open unless it is a draft."""
    now = DatabaseClock().now()
    values: dict[str, Any] = {
        "title": "Web tier to Ubuntu 24.04",
        "state": "in_review",
        "created_at": now,
        "edited_at": now,
        "submitted_at": now,
        "policy": {"max_in_flight": 5, "failures_allowed": 2},
    } | fields
    with rules_off():
        made = Change.objects.create(author=author, **values)
        Contributor.objects.create(change=made, revision=made.revision, user=author)
        for place, one in enumerate(machines):
            Target.objects.create(change=made, instance=one, position=place, open=made.state != "draft")
    return made


def replacement(of: Change, one: Instance, state: str, outcome: str = "", **fields: Any) -> Replacement:
    now = DatabaseClock().now()
    ended = {"finished_at": now} if outcome else {}
    return Replacement.objects.create(
        target=Target.objects.get(change=of, instance=one),
        change=of,
        account=one.account,
        instance=one,
        region=one.region,
        state=state,
        outcome=outcome,
        entered_at=now,
        **(ended | fields),
    )
