"""Mutation testing: does a test notice when the code is wrong?

    python tests/mutants.py scores values --count 60 --seed 0

draws mutations of modules evenly, runs each module's nearest tests on a copy of the tree that holds
one of them, and prints which were killed and which survived. The checkout is never touched. A run
that takes ten times as long as the clean one counts as killed. A mutation that only tests marked
``golden`` notice (those compare a whole output with one that was kept) is counted apart, because
such a test says that something changed and not what should be true.

Some survivors are equivalent: they change nothing that anyone can see. They are read, not counted.
"""

import argparse
import ast
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mutations import Mutation, mutations

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "xai_detect"
FOLDERS = ("scores", "measures", "evaluation", "values")
#: Nearest tests by module, quick ones first.
TESTS = {
    "batch/each": ("test_many.py",),
    "batch/given": ("test_many.py",),
    "batch/header": ("test_many.py",),
    "batch/references": ("test_references.py",),
    "batch/stream": ("test_many.py",),
    "batch/video": ("test_video.py",),
    "data/coco_boxes": ("test_cases.py",),
    "data/fields": ("test_cases.py",),
    "data/folders": ("test_cases.py",),
    "data/problems": ("test_cases.py", "test_data_coco.py"),
    "data/yolo_labels": ("test_cases.py",),
    "data/yolo_places": ("test_cases.py", "test_data_yolo.py"),
    "evaluation/alike": ("test_alike.py",),
    "evaluation/evaluate": ("test_evaluation.py",),
    "evaluation/figures": ("test_verdict_figures.py", "test_evaluation.py"),
    "evaluation/labelled": ("test_labelled.py",),
    "evaluation/lookalikes": ("test_lookalikes.py",),
    "evaluation/parts": ("test_parts.py",),
    "evaluation/outcomes": ("test_outcomes.py", "test_evaluation.py"),
    "explainers/activations/contributions": ("test_contributions.py",),
    "explainers/gradients/path": ("test_gradient.py",),
    "explainers/gradients/sighted": ("test_sighted.py",),
    "explainers/gradients/sighted_path": ("test_sighted.py",),
    "explainers/gradients/whole_path": ("test_gradient.py",),
    "explainers/parchgrad/channels": ("test_parchgrad.py",),
    "explainers/parchgrad/counted": ("test_parchgrad.py",),
    "explainers/parchgrad/moments": ("test_parchgrad.py",),
    "inspection/ahead": ("test_many.py", "test_evaluation.py"),
    "measures/detection": ("test_detection_measures.py",),
    "measures/grouping": ("test_grouping.py",),
    "measures/matching": ("test_matching.py", "test_detection_measures.py"),
    "measures/mistakes": ("test_mistakes.py",),
    "measures/statistics": ("test_statistics.py",),
    "measures/verdicts": ("test_verdict_figures.py",),
    "scores/function": ("test_score_function.py",),
    "scores/scalars": ("test_scalars.py", "test_contrast.py", "test_weigh.py"),
    "savanna/animals": ("test_savanna.py",),
    "savanna/coats": ("test_savanna.py",),
    "savanna/compose": ("test_savanna.py",),
    "savanna/files": ("test_savanna.py",),
    "savanna/land": ("test_savanna.py",),
    "savanna/plants": ("test_savanna.py",),
    "savanna/render": ("test_savanna.py",),
    "savanna/scene": ("test_savanna.py",),
    "savanna/strokes": ("test_savanna.py",),
    "scores/survival": ("test_scalars.py", "test_d_rise.py"),
    "trust/alike": ("test_alike.py",),
    "trust/budget": ("test_verdict.py", "test_weigh.py"),
    "trust/candidates": ("test_probability.py",),
    "trust/evidence": ("test_weigh.py",),
    "trust/maps": ("test_maps.py",),
    "trust/name": ("test_name.py",),
    "trust/parts": ("test_parts.py",),
    "trust/places": ("test_presence.py", "test_name.py"),
    "trust/policy": ("test_verdict.py",),
    "trust/presence": ("test_presence.py",),
    "trust/probability": ("test_probability.py",),
    "trust/reasons": ("test_weigh.py", "test_presence.py"),
    "trust/references": ("test_references.py",),
    "trust/repeatability": ("test_maps.py", "test_weigh.py"),
    "trust/scene": ("test_scene.py", "test_weigh.py"),
    "trust/verdict": ("test_verdict.py",),
    "trust/weigh": ("test_weigh.py",),
    "trust/witness": ("test_weigh.py",),
    "trust/wording": ("test_verdict.py",),
    "values/boxes": ("test_boxes.py", "test_maps.py"),
    "values/detections": ("test_types.py", "test_interop.py"),
    "values/files": ("test_files.py",),
    "values/fills": ("test_fills.py",),
    "values/findings": ("test_types.py",),
    "values/frame": ("test_frame.py",),
    "values/images": ("test_images.py",),
    "values/json": ("test_json.py",),
    "values/smoothing": ("test_smoothing.py", "test_maps.py"),
    "values/names": ("test_cases.py",),
    "values/showing": ("test_showing.py",),
    "values/thresholds": ("test_thresholds.py",),
    "values/truth": ("test_truth.py", "test_matching.py"),
    "words/catalogue": ("test_words.py",),
}
#: Test files for a module that is not listed: those that import it, and least besides.
NEAREST = 3
PLAIN = "not golden and not long and not browser"
#: A clean run takes this much at least, as far as time limits go, in seconds.
QUICK = 3.0
PATIENCE = 10


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mutation of a module, and the tests that should notice.

    Attributes:
        module: Path below the checkout.
        mutation: The change.
        tests: Names of test files.
    """

    module: Path
    mutation: Mutation
    tests: tuple[str, ...]

    def __str__(self) -> str:
        change = f"{self.mutation.old}  ->  {self.mutation.new}"
        return f"{self.module}:{self.mutation.line}: {' '.join(change.split())}"


def nearest(module: Path) -> tuple[str, ...]:
    """The test files that look at a module most directly."""
    name = module.relative_to("xai_detect").with_suffix("").as_posix()
    if name in TESTS:
        return TESTS[name]
    dotted = ".".join(("xai_detect", *name.split("/")))
    found = {}
    for path in sorted((ROOT / "tests").glob("test_*.py")):
        imported = _imports(path)
        if dotted in imported:
            found[path.name] = sum(other.startswith("xai_detect") for other in imported)
    return tuple(sorted(found, key=lambda test: (found[test], test))[:NEAREST])


def _imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def drawn(modules: Sequence[Path], count: int, seed: int) -> list[Mutant]:
    """Mutants of these modules, as evenly spread as they allow, at most one for a piece of text."""
    rng = random.Random(seed)
    waiting = []
    for module in modules:
        one_each: dict[tuple[int, int], list[Mutation]] = {}
        for mutation in mutations((ROOT / module).read_text()):
            one_each.setdefault((mutation.start, mutation.end), []).append(mutation)
        chosen = [rng.choice(places) for places in one_each.values()]
        rng.shuffle(chosen)
        tests = nearest(module)
        waiting.append([Mutant(module, mutation, tests) for mutation in chosen])
    rng.shuffle(waiting)
    taken: list[Mutant] = []
    while len(taken) < count and any(waiting):
        taken += [row.pop() for row in waiting if row][: count - len(taken)]
    return sorted(taken, key=lambda one: (str(one.module), one.mutation.start))


class Copies:
    """Copies of the tree, one for each process, each lent to one mutant at a time."""

    def __init__(self, folder: Path, count: int) -> None:
        """Copy what git knows or would know."""
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        names = [name for name in listed.split("\0") if name and (ROOT / name).is_file()]
        self._free: queue.Queue[Path] = queue.Queue()
        for index in range(count):
            # one level deeper, so that tests do not find what lies beside a checkout
            copy = folder / str(index) / "tree"
            for name in names:
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, copy / name)
            self._free.put(copy)

    def clean(self, tests: Sequence[str]) -> float:
        """Seconds that the unchanged tests take.

        Raises:
            SystemExit: If they fail, or test another copy of the package.
        """
        copy = self._free.get()
        where = subprocess.run(
            [sys.executable, "-c", "import xai_detect; print(xai_detect.__file__)"],
            cwd=copy, env=_environment(copy), capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        start = time.monotonic()
        code = _pytest(copy, tests, PLAIN, None)
        self._free.put(copy)
        if code != 0 or not Path(where).is_relative_to(copy):
            raise SystemExit(f"{', '.join(tests)}: fail before any mutation (pytest said {code})")
        return time.monotonic() - start

    def fate(self, mutant: Mutant, seconds: float) -> str:
        """What became of a mutant: ``killed``, ``time-out``, ``golden`` or ``survived``."""
        copy = self._free.get()
        file = copy / mutant.module
        source = file.read_text()
        try:
            file.write_text(mutant.mutation.applied(source))
            code = _pytest(copy, mutant.tests, PLAIN, seconds)
            if code == 0:
                code = _pytest(copy, mutant.tests, "golden", seconds)
                return "survived" if code in (0, 5) else "golden"
            return "time-out" if code is None else "killed"
        finally:
            file.write_text(source)
            self._free.put(copy)


def _environment(copy: Path) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": str(copy),
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _pytest(copy: Path, tests: Sequence[str], marked: str, seconds: float | None) -> int | None:
    """Pytest's exit code; None if it took too long."""
    command = [
        sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", marked,
        "--hypothesis-seed=0", *(f"tests/{name}" for name in tests),
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=copy, env=_environment(copy), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


def main() -> None:
    """Draw, run and tell; exit code 1 if fewer were killed than ``--least`` asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="*", default=FOLDERS, help="of xai_detect, or modules")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--least", type=float, default=0.0, help="share to be killed, 0 to 1")
    options = parser.parse_args()
    paths = [PACKAGE / name for name in options.folders]
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*.py"))]
    modules = sorted({file.relative_to(ROOT) for file in files if file.name != "__init__.py"})
    alone = [str(module) for module in modules if not nearest(module)]
    if alone or not modules:
        raise SystemExit(f"no test imports {', '.join(alone)}: name one in TESTS of {__file__}")
    mutants = drawn(modules, options.count, options.seed)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.processes) as pool:
        copies = Copies(Path(folder), options.processes)
        sets = sorted({mutant.tests for mutant in mutants})
        clean = dict(zip(sets, pool.map(copies.clean, sets), strict=True))
        limits = [PATIENCE * max(clean[mutant.tests], QUICK) for mutant in mutants]
        fates = []
        for mutant, fate in zip(mutants, pool.map(copies.fate, mutants, limits), strict=True):
            fates.append(fate)
            print(f"{fate:9}{mutant}", flush=True)
    tell(mutants, fates, time.monotonic() - start)
    if 1 - Counter(fates)["survived"] / len(fates) < options.least:
        raise SystemExit(1)


def tell(mutants: Sequence[Mutant], fates: Sequence[str], seconds: float) -> None:
    """Print the counts by module and in all."""
    by_module: dict[str, Counter[str]] = {}
    for mutant, fate in zip(mutants, fates, strict=True):
        by_module.setdefault(str(mutant.module), Counter())[fate] += 1
    print()
    for module, counts in by_module.items():
        print(f"{module:45}{counts['survived']:4} of {counts.total():3} survived")
    kinds = Counter(mutant.mutation.kind for mutant in mutants)
    lost = Counter(
        mutant.mutation.kind
        for mutant, fate in zip(mutants, fates, strict=True)
        if fate == "survived"
    )
    print("\nsurvived by kind:", ", ".join(f"{kind} {lost[kind]}/{kinds[kind]}" for kind in kinds))
    counts = Counter(fates)
    share = 1 - counts["survived"] / len(fates)
    print(
        f"\n{len(fates)} mutants in {seconds / 60:.0f} minutes: {share:.1%} killed ("
        f"{counts['killed']} by a test, {counts['time-out']} by the time limit, "
        f"{counts['golden']} by golden comparisons alone), {counts['survived']} survived"
    )


if __name__ == "__main__":
    main()
