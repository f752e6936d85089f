"""How many scans a second the simulator writes.

    python -m benchmarks.simulator_speed [--scans 200] [--size 640] [--workers 2] [--repeats 5]

Whole calls of ``simulate`` with a seed of their own each, start of the worker processes, JPEG files
and annotations included. Writes ``benchmarks/results/simulator_speed.md`` and ``.json``.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path

from xai_detect.xray.scenes.simulate import simulate

RESULTS = Path(__file__).parent / "results"
FIRST_SEED = 77_000


def main() -> None:
    """Time it and write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scans", type=int, default=200)
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    rates = []
    for row in range(asked.repeats):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            simulate(
                Path(folder) / "scans",
                asked.scans,
                FIRST_SEED + row,
                asked.size,
                workers=asked.workers,
            )
            rates.append(asked.scans / (time.perf_counter() - start))
        print(f"{rates[-1]:.1f} scans a second", flush=True)
    found = {
        "scans_per_second": statistics.median(rates),
        "lowest": min(rates),
        "highest": max(rates),
        **vars(asked),
        "first_seed": FIRST_SEED,
        "machine": platform.processor() or platform.machine(),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "simulator_speed.json").write_text(json.dumps(found, indent=1) + "\n")
    (RESULTS / "simulator_speed.md").write_text(
        "# Speed of the simulator\n\n"
        f"{asked.repeats} runs of {asked.scans} scans at {asked.size} px with "
        f"{asked.workers} processes on {asked.workers} cores, first seed {FIRST_SEED}; "
        "everything included, from the start of the processes to the annotations.\n\n"
        f"**{found['scans_per_second']:.0f} scans a second** (median; lowest {min(rates):.0f}, "
        f"highest {max(rates):.0f}).\n"
    )


if __name__ == "__main__":
    main()
