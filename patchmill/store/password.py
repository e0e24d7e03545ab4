"""Passwords of people: made, hashed with argon2id, and compared in the same time whoever is asked for."""

import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MIN_LENGTH = 12
MAX_LENGTH = 200
_RANDOM_BYTES = 18
_HASHER = PasswordHasher()  # argon2id with the library's parameters: 64 MiB, three passes


def make() -> str:
    """Make a password of 144 random bits."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


def hashed(password: str) -> str:
    """Hash a password to be stored; takes tens of milliseconds on purpose."""
    return _HASHER.hash(password)


def matches(password: str, stored: str | None) -> bool:
    """Say whether a password is the one that was hashed; None, for nobody, takes as long and is never it."""
    try:
        _HASHER.verify(_of_nobody() if stored is None else stored, password)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


@cache
def _of_nobody() -> str:
    return hashed(make())
