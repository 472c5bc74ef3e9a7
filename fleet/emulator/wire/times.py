"""The two formats in which the API writes a time."""

from datetime import UTC, datetime


def to_second(at: float) -> str:
    """Write a time as disks, images and snapshots show it: 2024-04-16T02:11:02Z."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_minute(at: float) -> str:
    """Write a time as instances show it: 2024-04-14T22:32Z."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%MZ")


def parse_time(text: str) -> float:
    """Read either format; raise ValueError on anything else."""
    for shape in ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ"):
        try:
            return datetime.strptime(text, shape).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    raise ValueError(f"not a time in UTC such as 2024-04-16T02:11:02Z: {text!r}")
