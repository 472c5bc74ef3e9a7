"""Names of operating systems, and the ends of their lives."""

from datetime import date

import pytest

from fleet.inventory.lifecycle import end_of_life, os_label, support_state


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


@pytest.mark.parametrize(
    ("today", "state"),
    [
        (date(2024, 7, 1), "past"),
        (date(2024, 6, 30), "soon"),
        (date(2023, 12, 31), "soon"),
        (date(2023, 12, 30), ""),
    ],
)
def test_support_ends_with_its_last_day_and_soon_half_a_year_before(today: date, state: str) -> None:
    assert support_state("CentOS  7.9 64 bit", today) == state
    assert support_state("Our own golden image", today) == ""
