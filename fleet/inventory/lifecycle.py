"""Which operating system a name means, and until when its maker gives security updates.

The dates are data: the last day on which everybody gets security updates, without a contract for longer support. (Ubuntu:
standard support; Debian: LTS; Windows Server: extended support; SUSE: general support of the service pack.) For a system that is
not listed no date is known; it may be supported or not.
"""

import re
from datetime import date, timedelta
from functools import lru_cache

SOON = timedelta(days=183)  # an end of life within this time is shown

# Patterns of names in the order in which they are tried, and the label with what a pattern found.
_NAMES: list[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern, re.IGNORECASE), label)
    for pattern, label in [
        (r"\bUbuntu\b.*?(\d\d\.\d\d)", "Ubuntu {0}"),
        (r"\bCentOS[ _-]*Stream\b\D*(\d+)", "CentOS Stream {0}"),
        (r"\bCentOS\b\D*(\d+)", "CentOS {0}"),
        (r"\b(?:Alibaba Cloud|Aliyun) Linux\b\D*([2-9])\b", "Alibaba Cloud Linux {0}"),
        (r"\bAliyun Linux\b\D*(17\.\d+)", "Aliyun Linux {0}"),
        (r"\bDebian\b\D*(\d+)", "Debian {0}"),
        (r"\bRocky\b\D*(\d+)", "Rocky Linux {0}"),
        (r"\bAlma ?Linux\b\D*(\d+)", "AlmaLinux {0}"),
        (r"\bRed ?Hat\b\D*(\d+)", "Red Hat Enterprise Linux {0}"),
        (r"\bOracle\b\D*(\d+)", "Oracle Linux {0}"),
        (r"\bAnolis(?: OS)?\b\D*(\d+)", "Anolis OS {0}"),
        (r"\bWindows Server\s+(\d{4}) R2\b", "Windows Server {0} R2"),
        (r"\bWindows Server\s+(\d{4})\b", "Windows Server {0}"),
        (r"\bopenSUSE\b\D*(\d+\.\d+)", "openSUSE Leap {0}"),
        (r"\b(?:SUSE|SLES)\b\D*(\d+)\s*SP\s*(\d)", "SUSE Linux Enterprise Server {0} SP{1}"),
        (r"\b(?:SUSE|SLES)\b\D*(\d+)", "SUSE Linux Enterprise Server {0}"),
        (r"\bFedora\b\D*(\d+)", "Fedora {0}"),
        (r"\bFreeBSD\b\D*(\d+)", "FreeBSD {0}"),
        (r"\bCoreOS\b", "CoreOS Container Linux"),
    ]
]

_ENDS: dict[str, date] = {
    "Ubuntu 12.04": date(2017, 4, 28),
    "Ubuntu 14.04": date(2019, 4, 25),
    "Ubuntu 16.04": date(2021, 4, 30),
    "Ubuntu 18.04": date(2023, 5, 31),
    "Ubuntu 20.04": date(2025, 5, 31),
    "Ubuntu 22.04": date(2027, 4, 30),
    "Ubuntu 24.04": date(2029, 4, 30),
    "Ubuntu 26.04": date(2031, 4, 30),
    "CentOS 5": date(2017, 3, 31),
    "CentOS 6": date(2020, 11, 30),
    "CentOS 7": date(2024, 6, 30),
    "CentOS 8": date(2021, 12, 31),
    "CentOS Stream 8": date(2024, 5, 31),
    "CentOS Stream 9": date(2027, 5, 31),
    "Alibaba Cloud Linux 2": date(2024, 3, 31),
    "Alibaba Cloud Linux 3": date(2029, 4, 30),
    "Debian 7": date(2018, 5, 31),
    "Debian 8": date(2020, 6, 30),
    "Debian 9": date(2022, 6, 30),
    "Debian 10": date(2024, 6, 30),
    "Debian 11": date(2026, 8, 31),
    "Debian 12": date(2028, 6, 30),
    "Debian 13": date(2030, 6, 30),
    "Rocky Linux 8": date(2029, 5, 31),
    "Rocky Linux 9": date(2032, 5, 31),
    "Rocky Linux 10": date(2035, 5, 31),
    "AlmaLinux 8": date(2029, 3, 1),
    "AlmaLinux 9": date(2032, 5, 31),
    "AlmaLinux 10": date(2035, 5, 31),
    "Red Hat Enterprise Linux 6": date(2020, 11, 30),
    "Red Hat Enterprise Linux 7": date(2024, 6, 30),
    "Red Hat Enterprise Linux 8": date(2029, 5, 31),
    "Red Hat Enterprise Linux 9": date(2032, 5, 31),
    "Red Hat Enterprise Linux 10": date(2035, 5, 31),
    "Oracle Linux 7": date(2024, 12, 31),
    "Oracle Linux 8": date(2029, 7, 31),
    "Oracle Linux 9": date(2032, 6, 30),
    "Anolis OS 7": date(2024, 6, 30),
    "Windows Server 2003": date(2015, 7, 14),
    "Windows Server 2003 R2": date(2015, 7, 14),
    "Windows Server 2008": date(2020, 1, 14),
    "Windows Server 2008 R2": date(2020, 1, 14),
    "Windows Server 2012": date(2023, 10, 10),
    "Windows Server 2012 R2": date(2023, 10, 10),
    "Windows Server 2016": date(2027, 1, 12),
    "Windows Server 2019": date(2029, 1, 9),
    "Windows Server 2022": date(2031, 10, 14),
    "Windows Server 2025": date(2034, 11, 14),
    "openSUSE Leap 42.3": date(2019, 7, 1),
    "openSUSE Leap 15.1": date(2021, 2, 2),
    "openSUSE Leap 15.2": date(2022, 1, 4),
    "openSUSE Leap 15.3": date(2022, 12, 31),
    "openSUSE Leap 15.4": date(2023, 12, 7),
    "openSUSE Leap 15.5": date(2024, 12, 31),
    "openSUSE Leap 15.6": date(2026, 4, 30),
    "SUSE Linux Enterprise Server 11 SP4": date(2019, 3, 31),
    "SUSE Linux Enterprise Server 12 SP2": date(2018, 3, 31),
    "SUSE Linux Enterprise Server 12 SP4": date(2020, 6, 30),
    "SUSE Linux Enterprise Server 12 SP5": date(2024, 10, 31),
    "SUSE Linux Enterprise Server 15 SP1": date(2021, 1, 31),
    "SUSE Linux Enterprise Server 15 SP2": date(2021, 12, 31),
    "SUSE Linux Enterprise Server 15 SP3": date(2022, 12, 31),
    "SUSE Linux Enterprise Server 15 SP4": date(2023, 12, 31),
    "SUSE Linux Enterprise Server 15 SP5": date(2024, 12, 31),
    "SUSE Linux Enterprise Server 15 SP6": date(2025, 12, 31),
    "SUSE Linux Enterprise Server 15 SP7": date(2031, 7, 31),
    "Fedora 33": date(2021, 11, 30),
    "Fedora 34": date(2022, 6, 7),
    "Fedora 35": date(2022, 12, 13),
    "Fedora 36": date(2023, 5, 16),
    "Fedora 37": date(2023, 12, 5),
    "Fedora 38": date(2024, 5, 21),
    "Fedora 39": date(2024, 11, 26),
    "Fedora 40": date(2025, 5, 13),
    "Fedora 41": date(2025, 12, 15),
    "Fedora 42": date(2026, 5, 13),
    "FreeBSD 11": date(2021, 9, 30),
    "FreeBSD 12": date(2023, 12, 31),
    "FreeBSD 13": date(2026, 4, 30),
    "FreeBSD 14": date(2028, 11, 30),
    "CoreOS Container Linux": date(2020, 5, 26),
}


@lru_cache(maxsize=4096)
def os_label(os_name: str) -> str:
    """Return the short label of a name as the API writes it: `Ubuntu 24.04`, `Windows Server 2019`.

    A name that is not recognised keeps its words, except for those about the word length and the language.
    """
    name = " ".join(os_name.split())
    for pattern, label in _NAMES:
        if found := pattern.search(name):
            return label.format(*found.groups())
    return re.split(r"\s*\(?\b(?:64|32)[ -]?(?:bit|位)", name, maxsplit=1, flags=re.IGNORECASE)[0].strip()


def end_of_life(os_name: str) -> date | None:
    """Return the last day of public security updates of the system that a name or a label means; None if it is not listed."""
    return _ENDS.get(os_label(os_name))


def support_state(os_name: str, today: date) -> str:
    """Return `past` where security updates have ended, `soon` where they end within half a year, else nothing.

    A system without a known date is neither.
    """
    ends = end_of_life(os_name)
    if ends is None or ends >= today + SOON:
        return ""
    return "past" if ends < today else "soon"
