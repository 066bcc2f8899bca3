"""Receipts: a short signed token in every prediction, which identifies it when its true label is sent.

36 bytes, so that base64url needs no padding and has one spelling: key id (2), version (4), class (2), confidence bin
(1), time in seconds (4), nonce (11), and 96 bits of keyed BLAKE2s over all of that, with a key derived for the model's
name. A receipt for one model is invalid for another, and nobody without the key can create or change one.
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tailorbird.errors import InvalidInput
from tailorbird.files import write_once
from tailorbird.settings import PREFIX, SQLITE, Settings, writable

_HEAD = struct.Struct(">2sIHBI11s")
NONCE_BYTES = 11
CHARACTERS = 48
_SPELLING = re.compile(rf"[A-Za-z0-9_-]{{{CHARACTERS}}}", re.ASCII)
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_NONCE = slice(_HEAD.size - NONCE_BYTES, _HEAD.size)
MAC_BYTES = 12
KEY_BYTES = 32


@dataclass(frozen=True)
class Receipt:
    """The content of a receipt; `id` is unique, `time` is in seconds since 1970."""

    id: str
    version: int
    class_index: int
    confidence_bin: int
    time: int


class BadReceipt(Exception):
    """A receipt that is not accepted; `reason` is its label in the metrics."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Receipts:
    """Issues and reads the receipts of one model; the first key signs, the others are accepted too."""

    def __init__(self, keys: Sequence[bytes], model: str, lifetime_days: float) -> None:
        self._macs = {_key_id(key): _mac(key, model) for key in reversed(keys)}
        self._key_id = _key_id(keys[0])
        self._mac = self._macs[self._key_id]
        self._lifetime = lifetime_days * 86_400

    def make(self, version: int, classes: Sequence[int], confidence_bins: Sequence[int]) -> list[str]:
        """One receipt for each example of a request."""
        now, nonces, start = int(time.time()), os.urandom(NONCE_BYTES * len(classes)), 0
        pack, copy, key_id = _HEAD.pack, self._mac.copy, self._key_id
        signed: list[bytes] = []
        for class_index, confidence_bin in zip(classes, confidence_bins, strict=True):
            end = start + NONCE_BYTES
            head = pack(key_id, version, class_index, confidence_bin, now, nonces[start:end])
            mac = copy()
            mac.update(head)
            signed += head, mac.digest()
            start = end
        text = binascii.b2a_base64(b"".join(signed), newline=False).translate(_URL_SAFE).decode()
        return [text[start : start + CHARACTERS] for start in range(0, len(text), CHARACTERS)]

    def read(self, text: str) -> Receipt:
        """The content of a receipt; raises BadReceipt with the reason malformed, key, signature or expired."""
        if not _SPELLING.fullmatch(text):
            raise BadReceipt("malformed", "a receipt has 48 characters of A-Z, a-z, 0-9, '-' and '_'")
        data = base64.urlsafe_b64decode(text)
        head, sent = data[: _HEAD.size], data[_HEAD.size :]
        key_id, version, class_index, confidence_bin, moment, nonce = _HEAD.unpack(head)
        if key_id not in self._macs:
            raise BadReceipt("key", "the receipt was signed with another key")
        mac = self._macs[key_id].copy()
        mac.update(head)
        if not hmac.compare_digest(sent, mac.digest()):
            raise BadReceipt("signature", "the receipt was not issued for this model")
        if time.time() - moment > self._lifetime:
            raise BadReceipt("expired", f"the receipt is older than {self._lifetime / 86_400:g} days")
        return Receipt(nonce.hex(), version, class_index, confidence_bin, moment)


def identify(text: str) -> str:
    """The id of a receipt that was issued here; for one from a client, use `Receipts.read`."""
    return base64.urlsafe_b64decode(text)[_NONCE].hex()


def _key_id(key: bytes) -> bytes:
    return hmac.digest(key, b"tailorbird receipt key", "sha256")[:2]


def _mac(key: bytes, model: str) -> "hashlib.blake2s":
    """BLAKE2s (RFC 7693) with a key derived for this model, so that a receipt is invalid for others."""
    return hashlib.blake2s(
        key=hmac.digest(key, b"tailorbird receipt of " + model.encode(), "sha256"), digest_size=MAC_BYTES
    )


def keys(settings: Settings) -> list[bytes]:
    """The signing key, and the second accepted key if the settings have one; raises as `key` does."""
    accepted = settings.receipt_key_accepted
    return [key(settings), *([] if accepted is None else [accepted.get_secret_value().encode()])]


def key(settings: Settings) -> bytes:
    """The key of the receipts: that of the settings, else the one in HOME, generated on first use.

    Raises InvalidInput if there is none and none can be generated.
    """
    if settings.receipt_key is not None:
        return settings.receipt_key.get_secret_value().encode()
    if not settings.database.startswith(SQLITE):
        raise _must_be_given("replicas that share a database must share it too")
    path = settings.home / "receipt.key"
    if not writable(settings.home):
        raise _must_be_given(f"{settings.home} is read-only")
    try:
        if not path.exists():
            write_once(path, secrets.token_bytes(KEY_BYTES))
        key = path.read_bytes()
    except OSError as error:
        raise _must_be_given(f"{path} cannot be used ({error.strerror})") from None
    if len(key) != KEY_BYTES:
        raise _must_be_given(f"{path} has {len(key)} bytes instead of {KEY_BYTES}")
    return key


def _must_be_given(why: str) -> InvalidInput:
    return InvalidInput(
        f"{PREFIX}RECEIPT_KEY",
        f"must be given: {why}; accepted: 16 characters or more, the same for every replica, "
        f"such as `python3 -c 'import secrets; print(secrets.token_urlsafe(32))'` prints",
    )
