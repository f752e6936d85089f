"""What explaining costs beside the bare network and beside other libraries, in time and memory.

    python -m benchmarks.speed WEIGHTS IMAGE

The other libraries bring requirements of their own, so they are installed into an environment
apart (``build/peers``; ``--environment`` names another, which is used as it is if it exists) that
sees this one's packages too. Everything is measured there, ours included, a section per process:
what fails is a line in the table. Run it on an otherwise idle machine. Writes
``benchmarks/results/speed.md`` and ``.json``.
"""

import argparse
import os
import platform
import subprocess
import sys
import sysconfig
import venv
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from benchmarks.speed_peers import PEERS
from benchmarks.speed_report import Comparison, Failure, Peak, told, write
from benchmarks.speed_scene import Plan
from benchmarks.speed_sections import OURS, run

HERE = Path(__file__).resolve().parent

REQUIREMENTS = (["grad-cam", "xaitk-saliency"], ["--no-deps", "vision-explanation-methods"])
"""What is installed, a call of pip each. The last one asks for a matplotlib that no longer runs
with current NumPy; what is measured of it does not draw."""

TIMED = (["overhead"], ["sharing"], ["odam"], *(["peers", name] for name in PEERS))

MEMORY = {
    "d_rise": "masks",
    "xaitk-saliency": "masks",
    "vision-explanation-methods": "masks",
    "integrated_gradients": "steps",
    "integrated_gradients, never within tolerance": "steps",
    "captum": "steps",
}
"""Cases of the memory section, ours and other libraries, and what is counted."""

LIMITS = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
)  # fmt: skip
"""Environment variables from which libraries take their number of threads."""


def prepare(environment: Path) -> Path:
    """Make the environment unless it is there.

    Returns:
        Its interpreter.
    """
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if python.exists():
        return python
    print(f"installing the other libraries into {environment}", file=sys.stderr)
    venv.create(environment, with_pip=True)
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    own = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    shared = Path(own) / "shared.pth"
    shared.write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    for packages in REQUIREMENTS:
        done = subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages])
        if done.returncode:
            print(f"pip could not install {' '.join(packages)}", file=sys.stderr)
    return python


def measured(
    python: Path, section: list[str], weights: Path, image: Path, plan: Plan
) -> tuple[list[dict[str, Any]], str]:
    """Run one section in a process of its own.

    Returns:
        Its rows, and the last line of its complaint; empty if it ended well.
    """
    print(" ".join(section), file=sys.stderr)
    command = [str(python), "-W", "ignore", "-m", "benchmarks.speed", str(weights), str(image)]
    command += [f"{_flag(name)}={value}" for name, value in asdict(plan).items()]
    done = subprocess.run(
        [*command, "--section", *section],
        capture_output=True, text=True, cwd=HERE.parent,
        env=os.environ | dict.fromkeys(LIMITS, str(plan.threads)),
    )  # fmt: skip
    rows, code = list(told(done.stdout)), done.returncode
    if code < 0:
        return rows, f"ended by signal {-code}"
    complaint = done.stderr.strip().splitlines() or [f"ended with {code}"]
    return rows, complaint[-1] if code else ""


def times(
    python: Path, weights: Path, image: Path, plan: Plan
) -> tuple[list[Comparison], list[Failure]]:
    """All sections with times."""
    rows: list[Comparison] = []
    failures: list[Failure] = []
    for section in TIMED:
        found, complaint = measured(python, section, weights, image, plan)
        for row in found:
            spreads = {key: tuple(row[key]) for key in ("wall", "processor")}
            rows.append(Comparison(**{**row, **spreads}))
        if complaint:
            failures.append(Failure(section[0], section[-1], complaint))
    return rows, failures


def memory(
    python: Path, weights: Path, image: Path, plan: Plan
) -> tuple[list[Peak], list[Failure]]:
    """Peak memory of every case at both its numbers."""
    peaks: list[Peak] = []
    failures: list[Failure] = []
    counts = {
        "masks": (plan.few_masks, plan.many_masks),
        "steps": (plan.few_steps, plan.many_steps),
    }
    for case, counted in MEMORY.items():
        few, many = counts[counted]
        found: list[dict[str, Any]] = []
        for count in (few, many):
            section = ["memory", case, str(count)]
            rows, complaint = measured(python, section, weights, image, plan)
            found += rows
            if complaint:
                failures.append(Failure("memory", f"{case}: {count} {counted}", complaint))
        if len(found) == 2:
            low, high = found
            sizes = low["loaded"], low["peak"], high["peak"]
            peaks.append(Peak(f"{case}, {counted}", few, many, *sizes, case in OURS))
    return peaks, failures


def setting(python: Path, weights: Path, image: Path, plan: Plan) -> dict[str, Any]:
    """What was measured on what."""
    found, complaint = measured(python, ["setting"], weights, image, plan)
    if complaint:
        raise SystemExit(complaint)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return {
        "weights": weights.name,
        "image": image.name,
        "machine": machine,
        "plan": asdict(plan),
        **found[0],
    }


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--environment", type=Path, default=HERE.parent / "build" / "peers")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--section", nargs="+", help=argparse.SUPPRESS)
    for field in fields(Plan):
        parser.add_argument(_flag(field.name), type=int, default=field.default)
    given = parser.parse_args()
    plan = Plan(**{field.name: getattr(given, field.name) for field in fields(Plan)})
    weights, image = given.weights.resolve(), given.image.resolve()
    if given.section:
        run(given.section, weights, image, plan)
        return
    python = prepare(given.environment.resolve())
    about = setting(python, weights, image, plan)
    rows, failures = times(python, weights, image, plan)
    peaks, others = memory(python, weights, image, plan)
    write(given.out, about, rows, peaks, failures + others)


if __name__ == "__main__":
    main()
