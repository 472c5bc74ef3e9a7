"""The limits of the two editions of the contract, as data: no rule asks which edition an account has.

`2018` is the ReplaceSystemDisk reference as it stands; `2026` is what the provider's SDK and help pages say today. The emulator
has its own reading of the same contract and shares nothing with this file.
"""

from dataclasses import dataclass

# Reference, Password: the quote in the printed list is read as an apostrophe.
_SPECIALS_2018 = "()`~!@#$%^&*-+=|{}[]:;'<>,.?/"


@dataclass(frozen=True, slots=True)
class Range:
    """A range of system disk sizes in GiB."""

    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Edition:
    """The limits of one edition. Sizes are in GiB, lengths in characters.

    `sizes` are ranges by disk category, or by category and performance level; "" is the range of every other category.
    """

    name: str
    password_length: tuple[int, int]
    password_specials: str
    password_classes: int
    password_needs_letters_and_digit: bool
    password_first_not: str
    sizes: dict[str, Range]
    windows_least: int
    default_size: int
    missing_key_pair: str
    expired: str
    creating: str
    data_disk_snapshots_refused: bool

    def size_range(self, *, category: str, performance_level: str, windows: bool) -> Range:
        """Return the range for a disk of this category, whatever the image and the present disk ask for."""
        found = self.sizes.get(f"{category} {performance_level}") or self.sizes.get(category) or self.sizes[""]
        return Range(max(found.least, self.windows_least), found.most) if windows else found


EDITIONS = {
    "2018": Edition(
        name="2018",
        password_length=(8, 30),
        password_specials=_SPECIALS_2018,
        password_classes=3,
        password_needs_letters_and_digit=True,
        password_first_not="",
        sizes={"": Range(20, 500)},
        # The table says "cannot be smaller than 40 GiB", the parameter "Max{20, ...}": we take 40 to be the minimum of Windows.
        windows_least=40,
        default_size=40,
        missing_key_pair="NoSuchResource",
        expired="Instanceexpiredorinarrears",
        creating="IncorrectInstanceStatus",
        data_disk_snapshots_refused=True,
    ),
    "2026": Edition(
        name="2026",
        password_length=(8, 30),
        password_specials=_SPECIALS_2018 + "_",
        password_classes=3,
        password_needs_letters_and_digit=False,
        password_first_not="/",
        sizes={
            "cloud": Range(20, 500),
            "cloud_essd PL0": Range(1, 2048),
            "cloud_essd PL1": Range(20, 2048),
            "cloud_essd PL2": Range(461, 2048),
            "cloud_essd PL3": Range(1261, 2048),
            "cloud_auto": Range(1, 2048),
            "": Range(20, 2048),
        },
        windows_least=1,
        default_size=40,
        missing_key_pair="InvalidKeyPairName.NotFound",
        expired="InstanceExpiredOrInArrears",
        creating="OperationDenied.InstanceCreating",
        data_disk_snapshots_refused=False,
    ),
}
