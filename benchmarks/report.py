"""The output of a benchmark: a table for people, and JSON for machines."""

import argparse
import json
import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def arguments(about: str, names: Sequence[str] = (), **paths: str) -> argparse.Namespace:
    """`--quick` for tests of the benchmark itself, `--json FILE` for machines; `paths` are more options.

    Some of `names` may be selected; the default is all.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="too short to say anything; for tests of the benchmark")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    if names:
        parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(names)}")
    for name, meaning in paths.items():
        parser.add_argument(f"--{name}", type=Path, help=meaning)
    arguments = parser.parse_args()
    if names:
        if unknown := [name for name in arguments.names if name not in names]:
            parser.error(f"there is no {unknown[0]!r}; accepted: {', '.join(names)}")
        arguments.names = arguments.names or names
    return arguments


def machine() -> str:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def flags() -> str:
    """The processor's instructions for bf16."""
    cpuinfo = Path("/proc/cpuinfo")
    known = set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
    flags = [name for name in ("amx_bf16", "amx_tile", "avx512_bf16", "avx512f", "avx2") if name in known]
    return f"processor flags {', '.join(flags)}" if flags else "no flags for bf16"


def figure(values: Sequence[float], unit: str) -> dict[str, Any]:
    """The median of several runs with the least and the greatest."""
    return {"value": statistics.median(values), "unit": unit, "low": min(values), "high": max(values)}


def ratio(ours: Sequence[float], theirs: Sequence[float], against: str) -> dict[str, Any]:
    """The ratio of alternating runs, pair by pair."""
    pairs = [a / b for a, b in zip(ours, theirs, strict=True)]
    return {"value": statistics.median(pairs), "low": min(pairs), "high": max(pairs), "against": against}


def tell(
    benchmark: str, runs: int, figures: dict[str, dict[str, Any]], ratios: dict[str, dict[str, Any]], to: Path | None
) -> None:
    """Print the table, and write the JSON if requested."""
    print(f"\n{benchmark} on {machine()}; medians of {runs} runs in turn (least to greatest)\n")
    width = max(map(len, [*figures, *ratios]))
    for name, ratio in figures.items():
        spread = f"({ratio['low']:,.2f} to {ratio['high']:,.2f})"
        print(f"  {name:{width}} {ratio['value']:10,.2f} {ratio['unit']:11} {spread}")
    for name, ratio in ratios.items():
        spread = f"({ratio['low']:.2f} to {ratio['high']:.2f})"
        print(f"  {name:{width}} {ratio['value']:10,.2f} {ratio.get('unit', 'x'):11} {spread} {ratio['against']}")
    if to:
        date = datetime.now(UTC).isoformat(timespec="seconds")
        record = {"benchmark": benchmark, "machine": machine(), "date": date, "runs": runs}
        to.write_text(json.dumps({**record, "figures": figures, "ratios": ratios}, indent=1))
