"""Names of operating systems, and the ends of their lives."""

from datetime import date, timedelta

import pytest

from fleet.inventory.lifecycle import end_of_life, os_label
from fleet.inventory.queries import freshness, systems
from fleet.inventory.sync import sync_due
from fleet.lib.clock import DatabaseClock
from fleet.models import Account, Instance, RegionMirror
from tests.support.emulator import Emulator


@pytest.mark.parametrize(
    ("name", "label", "end"),
    [
        ("Ubuntu  22.04 64位", "Ubuntu 22.04", date(2027, 4, 30)),
        ("Ubuntu 24.04 64 bit", "Ubuntu 24.04", date(2029, 4, 30)),
        ("Ubuntu Server 20.04.6 LTS", "Ubuntu 20.04", date(2025, 5, 31)),
        ("CentOS  7.9 64 bit", "CentOS 7", date(2024, 6, 30)),
        ("CentOS  6.10 64 bit", "CentOS 6", date(2020, 11, 30)),
        ("CentOS Stream  9 64 bit", "CentOS Stream 9", date(2027, 5, 31)),
        ("Alibaba Cloud Linux  3.2104 LTS 64 bit", "Alibaba Cloud Linux 3", date(2029, 4, 30)),
        ("Aliyun Linux  2.1903 LTS 64位", "Alibaba Cloud Linux 2", date(2024, 3, 31)),
        ("Alibaba Cloud Linux  3.2104 LTS 64 bit ARM Edition", "Alibaba Cloud Linux 3", date(2029, 4, 30)),
        ("Debian  12.5 64 bit", "Debian 12", date(2028, 6, 30)),
        ("Rocky Linux  9.3 64 bit", "Rocky Linux 9", date(2032, 5, 31)),
        ("AlmaLinux  8.9 64 bit", "AlmaLinux 8", date(2029, 3, 1)),
        (
            "Windows Server  2019 Datacenter Edition 64 bit Chinese Edition",
            "Windows Server 2019",
            date(2029, 1, 9),
        ),
        ("Windows Server  2022 数据中心版 64位中文版", "Windows Server 2022", date(2031, 10, 14)),
        ("Windows Server  2012 R2 Datacenter", "Windows Server 2012 R2", date(2023, 10, 10)),
        ("SUSE Linux Enterprise Server 15 SP5 64 bit", "SUSE Linux Enterprise Server 15 SP5", date(2024, 12, 31)),
        ("openSUSE Leap 15.6 64 bit", "openSUSE Leap 15.6", date(2026, 4, 30)),
        ("Fedora  40 64 bit", "Fedora 40", date(2025, 5, 13)),
        ("FreeBSD  13.2 64 bit", "FreeBSD 13", date(2026, 4, 30)),
        ("Our own golden image 64 bit", "Our own golden image", None),
        ("Windows Server Version 2004 Datacenter 64 bit", "Windows Server Version 2004 Datacenter", None),
        ("", "", None),
    ],
)
def test_names(name: str, label: str, end: date | None) -> None:
    assert os_label(name) == label
    assert end_of_life(name) == end
    assert end_of_life(label) == end


def test_a_label_is_its_own_label() -> None:
    for label in ("Red Hat Enterprise Linux 8", "Oracle Linux 9", "Anolis OS 7", "Windows Server 2008 R2"):
        assert os_label(label) == label
        assert end_of_life(label) is not None


def test_systems_of_the_fleet(emulator: Emulator, account: Account, clock: DatabaseClock) -> None:
    sync_due(clock=clock, budget_seconds=60)
    found = systems()
    assert sum(one.machines for one in found) == Instance.objects.present().count()
    assert [one.machines for one in found] == sorted((one.machines for one in found), reverse=True)
    assert len({one.label for one in found}) == len(found) >= 4
    assert any(one.ended(date(2026, 11, 23)) for one in found)
    assert not any(one.ended(date(2000, 1, 1)) for one in found)
    some = found[0]
    assert Instance.objects.present().filter(os_name__in=some.os_names).count() == some.machines
    assert sum(one.machines for one in systems(Instance.objects.filter(environment="prod"))) == (
        Instance.objects.present().filter(environment="prod").count()
    )
    Instance.objects.update(gone_at=clock.now())
    assert systems() == []


def test_freshness_is_that_of_the_stalest(account: Account, clock: DatabaseClock) -> None:
    assert freshness().oldest is None
    now = clock.now()
    fresh = RegionMirror.objects.create(account=account, region="a", synced_at=now)
    stale = RegionMirror.objects.create(account=account, region="b", synced_at=now - timedelta(hours=1))
    assert freshness().oldest == stale.synced_at
    assert freshness().regions == [stale, fresh]
    never = RegionMirror.objects.create(account=account, region="c")
    assert freshness().oldest is None
    assert freshness().regions == [never, stale, fresh]
