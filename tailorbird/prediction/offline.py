"""Predictions for many files, on all cores, in the order of the files."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from tailorbird.prediction.inputs import Batch, Failure, Reader
from tailorbird.prediction.outputs import Answers, Output
from tailorbird.prediction.predictors import Predictor

AHEAD = 4
"""Batches that are read ahead per core."""


def predict(
    readers: Iterator[Reader], predictor: Predictor, output: Output, advance: Callable[[int], None]
) -> tuple[int, Sequence[Failure]]:
    """Write a prediction for every readable input; returns their number, and the failures.

    `advance` is called with the number of inputs in each finished batch. Threads suffice, since decoding and inference
    release the GIL.
    """
    answered, failures = 0, list[Failure]()
    for batch, answers in _in_order(readers, predictor):
        if answers is not None:
            output.write(answers)
            answered += len(answers.files)
        failures += batch.failures
        advance(batch.size)
    return answered, failures


def _in_order(readers: Iterator[Reader], predictor: Predictor) -> Iterator[tuple[Batch, Answers | None]]:
    cores = len(os.sched_getaffinity(0))
    pending: deque[Future[tuple[Batch, Answers | None]]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        try:
            for reader in readers:
                pending.append(pool.submit(_answer, reader, predictor))
                if len(pending) >= AHEAD * cores:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _answer(reader: Reader, predictor: Predictor) -> tuple[Batch, Answers | None]:
    batch = reader()
    if not batch.files:
        return batch, None
    probabilities = predictor.predict(batch.inputs)
    labels = [predictor.signature.classes[index] for index in probabilities.argmax(1)]
    return batch, Answers([*batch.files], [*batch.rows], labels, probabilities)
