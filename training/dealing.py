"""Dealing examples into the parts of a data set, and finding sizes at which no part is empty."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Dealt = dict[str, NDArray[np.int64]]
"""Indices of the examples of each part."""
LEFT_OUT = ((), ("holdout",), ("validation",), ("holdout", "validation"))
"""Parts that can be left out if a data set has too few different examples for all."""


class Dealing:
    """Deals examples into parts: duplicates stay together, and each stratum gets its share.

    Groups of duplicates are sorted by a hash of their content, keyed by the seed, so that their part depends neither on
    the run nor on the order of a file. Parts are dealt in the order of `counts`, so that a later one never changes an
    earlier one.
    """

    def __init__(self, ids: NDArray[np.uint8], strata: NDArray[np.int64], seed: int) -> None:
        self._strata, self._seed = strata, seed
        self._order, self._bounds = _ranked(ids, seed)

    def deal(self, counts: dict[str, int]) -> Dealt:
        """Indices of each part, and of the rest, for training, in the order of the data set."""
        quotas = {name: quota for name, quota in self._quotas(counts).items() if any(quota.values())}
        parts: dict[str, list[int]] = {name: [] for name in counts}
        for group, wanted in self._groups():  # copies may lie in several strata
            if not quotas:
                break
            fits = (name for name, quota in quotas.items() if all(quota[label] >= n for label, n in wanted.items()))
            if part := next(fits, None):
                parts[part] += group.tolist()
                quotas[part].subtract(wanted)
                if not any(quotas[part].values()):
                    del quotas[part]
        dealt = {name: np.sort(np.asarray(members, np.int64)) for name, members in parts.items()}
        train = np.ones(len(self._order), bool)
        train[np.concatenate([*dealt.values()])] = False
        return dealt | {"train": np.flatnonzero(train)}

    def sizes(self, counts: dict[str, int], most: int) -> dict[str, int] | None:
        """Sizes near these, together at most `most`, at which no part is empty and every stratum keeps some examples.

        A part keeps its size if possible, and otherwise gets the smallest that works; if even the smallest are too
        large, those of `LEFT_OUT` are 0. None if that is not enough either.
        """
        for left_out in LEFT_OUT:
            for asked in (counts, dict.fromkeys(counts, 1)):
                sizes = dict.fromkeys(counts, 0)
                for name in (name for name in counts if counts[name] and name not in left_out):
                    sizes[name] = asked[name]
                    if not len(self.deal(sizes)[name]):
                        sizes[name] = self._least(sizes | {name: 0}, most + 1)
                if sum(sizes.values()) <= most and self._leaves_all(sizes):
                    return sizes
        return None

    def _leaves_all(self, sizes: dict[str, int]) -> bool:
        return len(np.unique(self._strata[self.deal(sizes)["train"]])) == len(np.unique(self._strata))

    def _least(self, sizes: dict[str, int], too_many: int) -> int:
        """The smallest size of one more part that holds one of the remaining groups."""
        present = Counter(self._strata.tolist())
        for quota in self._quotas(sizes).values():
            present = present - quota
        left = np.zeros(len(self._order), bool)
        left[self.deal(sizes)["train"]] = True
        rooms = (
            max(-(-n * present.total() // present[label]) for label, n in wanted.items())
            for group, wanted in self._groups()
            if left[group[0]] and wanted <= present
        )
        return min(rooms, default=too_many)

    def _groups(self) -> Iterator[tuple[NDArray[np.int64], Counter[int]]]:
        """Indices of equal examples, and their number in each stratum."""
        for start, end in pairwise(self._bounds):
            group = self._order[start:end]
            yield group, Counter(self._strata[group].tolist())

    def _quotas(self, counts: dict[str, int]) -> dict[str, Counter[int]]:
        """How many examples of each stratum each part gets, in proportion to what earlier parts left."""
        present, quotas = Counter(self._strata.tolist()), {}
        for name, count in counts.items():
            quotas[name] = _shares(present, count, self._seed)
            present = present - quotas[name]
        return quotas


def _ranked(ids: NDArray[np.uint8], seed: int) -> tuple[NDArray[np.int64], list[int]]:
    """Indices of examples, equal ones together, in an order by seed and ids; and the start of each group."""
    key = seed.to_bytes(8, "big")
    keyed = bytearray()
    for identity in ids:
        keyed += hashlib.blake2b(identity, key=key, digest_size=16).digest()
    high, low = np.frombuffer(keyed, ">u8").reshape(-1, 2).T
    order = np.lexsort((low, high))
    changes = (np.diff(high[order]) != 0) | (np.diff(low[order]) != 0)
    return order, [0, *(np.flatnonzero(changes) + 1).tolist(), len(order)]


def _shares(present: Counter[int], count: int, seed: int) -> Counter[int]:
    """`count` in proportion to what is present, by largest remainders; ties are drawn by the seed."""
    exact = {label: count * number / present.total() for label, number in present.items()}
    shares = Counter({label: int(share) for label, share in exact.items()})
    key = seed.to_bytes(8, "big")
    drawn = {label: hashlib.blake2b(str(label).encode(), key=key).digest() for label in exact}
    by_remainder = sorted(exact, key=lambda label: (int(exact[label]) - exact[label], drawn[label]))
    shares.update(by_remainder[: count - shares.total()])
    return shares
