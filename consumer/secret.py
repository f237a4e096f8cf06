"""A secret that may be given as a file, and then be changed without a restart."""

import hashlib
import hmac
from dataclasses import dataclass, field
from pathlib import Path


_LARGEST = 65_536


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret as it was at the start, and the file to read it anew from, if there is one.

    The secret never shows in a repr.
    """

    value: str = field(repr=False)
    path: Path | None = None

    def read(self) -> str:
        """The secret as it is now; as it was at the start while its file cannot be read.

        Whoever changes a file without replacing it at once leaves it empty, or away, for a moment.
        """
        if self.path is None:
            return self.value
        try:
            return read_secret(self.path)
        except (OSError, ValueError):
            return self.value


def is_same(given: str, expected: str) -> bool:
    """Whether somebody has given a secret; it takes as long whatever they gave."""
    # Of their digests, so that not even the length shows in the time that it takes.
    return hmac.compare_digest(
        hashlib.sha256(given.encode()).digest(), hashlib.sha256(expected.encode()).digest()
    )


def read_secret(path: Path) -> str:
    """What a file holds, without the white space around it.

    Raises OSError, and ValueError for an empty file, or one that is no text or larger than a secret can be.
    """
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ValueError("larger than a secret can be")
    secret = content.decode().strip()
    if not secret:
        raise ValueError("empty")
    return secret
