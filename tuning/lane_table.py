"""The lane table: the speed-up of training trials of one shape together instead of one after the other.

It depends on the processor, so it is measured briefly for each new shape, and stored by the kind of processor. Grouping
never changes the figures of a trial.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

import joblib
import torch
from pydantic import TypeAdapter, ValidationError

from tailorbird import files
from tailorbird.errors import TailorbirdError
from training import features, machine, precision, resident
from training.config import RunConfig
from training.loop import Run
from training.resident import Data
from training.splits import Splits
from training.stack import Stack, key
from tuning import groups
from tuning.processor import processor

FILE = "lanes.json"
ENOUGH = 1.05
"""A larger group must be faster by this factor: smaller ones share workers better."""
ROUNDS, STEPS = 3, 5
MOST_SECONDS = 5.0
"""CPU seconds after which no further shape is measured; groups of unknown shapes are as large as the spec allows."""
MOST_WAIT = 4 * MOST_SECONDS
"""As many on the clock: on a busy machine, CPU seconds take longer."""
MOST_CONFIGS = 1_000

Gains = Mapping[int, float]
"""Speed-up by the number of lanes."""
_FORM = TypeAdapter(dict[str, dict[str, dict[int, float]]])


class LaneTable:
    """Speed-ups by the kind of processor and the shape (`groups.shape`), in a file of the cache."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        try:
            self._kinds = _FORM.validate_json(self._path.read_bytes())
        except (OSError, ValidationError):  # missing or damaged entries are measured again
            self._kinds = {}
        self._gains = self._kinds.setdefault(processor(), {})

    def sizes(self, most: int) -> dict[str, int]:
        """The size of groups of each known shape, for a spec that allows `most` lanes."""
        return {shape: _size(gains, most) for shape, gains in self._gains.items() if most in gains}

    def measure(self, configs: Iterable[RunConfig], most: int, dealt: Splits) -> str | None:
        """Measure unknown shapes that several of these have; returns a note on all of their shapes."""
        shared = _shared(configs, dealt) if most > 1 else {}
        unknown = [shape for shape in shared if most not in self._gains.get(shape, ())]
        splits = dealt.without_verdicts()
        data = Data(splits, torch.device("cpu"))
        spent, ends = time.thread_time() + MOST_SECONDS, time.monotonic() + MOST_WAIT
        for shape in unknown:
            due = time.thread_time() < spent and time.monotonic() < ends
            if due and (gains := _measured(shared[shape], most, splits, data)):
                self._gains.setdefault(shape, {}).update(gains)
        if unknown:
            with suppress(OSError, TailorbirdError):  # it is measured again the next time
                files.make_folder(self._path.parent)
                files.write_flushed(self._path, _FORM.dump_json(self._kinds, indent=1))
        known = [self._gains[shape] for shape in shared if most in self._gains.get(shape, ())]
        return _note(known, most, "measured just now" if unknown else f"by {self._path}") if known else None


def _size(gains: Gains, most: int) -> int:
    """The smallest group that is about as fast as any."""
    gains = {1: 1.0} | {lanes: gain for lanes, gain in gains.items() if lanes <= most}
    return min(lanes for lanes, gain in gains.items() if ENOUGH * gain >= max(gains.values()))


def _shared(configs: Iterable[RunConfig], dealt: Splits) -> dict[str, RunConfig]:
    """One config of each shape that several of the first configs have, and that may be lanes on a CPU."""
    first, again = dict[str, RunConfig](), dict[str, RunConfig]()
    for config in islice(configs, MOST_CONFIGS):
        settled = precision.settled(config, dealt)
        row = settled.model_dump(mode="json")
        if machine.threads(settled) > joblib.cpu_count():  # more than there are here, which is reported later
            continue
        if groups.stacks(row) and not features.frozen(config):  # a head is small, but its features may be large
            shape = groups.shape(row)
            if first.setdefault(shape, settled) is not settled:
                again[shape] = first[shape]
    return again


def _measured(config: RunConfig, most: int, splits: Splits, data: Data) -> Gains:
    """Empty if they cannot be stacked, on a GPU, where more lanes are always faster, or after an error."""
    try:
        if resident.device(config, splits) != data.device:
            return {}
        counts = [1, *(2**power for power in range(1, most.bit_length()) if 2**power < most), most]
        runs = [[Run(config, splits, data=data) for _ in range(count)] for count in counts]
        if key(runs[0][0]) is None:
            return {}
        stacks = [Stack(several) for several in runs]
        rounds = [[stack.pace(STEPS) for stack in stacks] for _ in range(ROUNDS + 1)][1:]  # the first is a warm-up
        alone, *together = (min(paces) for paces in zip(*rounds, strict=True))
        return {count: count * alone / pace for count, pace in zip(counts[1:], together, strict=True)}
    except (RuntimeError, TailorbirdError):  # such as out of memory
        return {}


def _note(known: Sequence[Gains], most: int, source: str) -> str:
    sizes = [_size(gains, most) for gains in known]
    gained = [{1: 1.0, **gains}[size] for gains, size in zip(known, sizes, strict=True)]
    shapes = "1 shape" if len(known) == 1 else f"{len(known)} shapes"
    of, times = _span(f"{size}" for size in sorted(sizes)), _span(f"{gain:.1f}" for gain in sorted(gained))
    return f"lanes: groups of {of} train {times} times as fast as one trial after the other ({shapes}, {source})"


def _span(ordered: Iterable[str]) -> str:
    low, *_, high = [text for text in ordered for _ in range(2)]
    return low if low == high else f"{low} to {high}"
