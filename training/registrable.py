"""Whether a model of a data set can become a candidate: the registry accepts its kind, and gates can judge it."""

from tailorbird.errors import InvalidInput
from training.splits import Splits

KINDS = ("multiclass", "binary")


def check(splits: Splits) -> None:
    """Raise InvalidInput if a candidate of these splits could not be registered or judged."""
    if splits.kind not in KINDS:
        mend = "; if the numbers are classes, set data.kind: multiclass" if splits.kind == "regression" else ""
        raise InvalidInput(
            "data", f"the registry accepts multiclass and binary models; this one is {splits.kind}{mend}"
        )
    if not len(splits.holdout):
        raise InvalidInput("data.holdout", "must be above 0: a candidate and its export are evaluated on these images")


def obstacle(splits: Splits) -> str | None:
    """Why there can be no candidate of these splits; None if there can."""
    try:
        check(splits)
    except InvalidInput as error:
        return str(error)
    return None
