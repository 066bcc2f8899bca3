import pytest

from tuning import ranks

MERITS = {1: (0.9, -0.3), 2: (0.8, -0.1), 3: (0.8, -0.2), 4: (0.8, -0.2), 5: (0.1, -2.0)}


@pytest.mark.parametrize(
    ("finished", "behind", "outranked"),
    [
        ([], [], set()),
        ([1, 2], [3, 4], set()),
        ([1, 2, 3, 4], [], {3, 4}),
        ([3, 4, 5], [1, 2], {5}),
        ([4, 3, 1], [], {4}),
        ([1, 2, 9], [], set()),  # one that has no weights
    ],
)
def test_the_best_of_each_kind_are_kept(monkeypatch, finished, behind, outranked):
    monkeypatch.setattr(ranks, "FINALISTS", 2)
    assert ranks.outranked(MERITS, finished, behind) == outranked
