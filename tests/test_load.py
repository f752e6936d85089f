"""Many images in one run: memory stays where it was, and every image is there at the end."""

import subprocess
import sys

import pytest

from xai_detect.xray.scenes.simulate import simulate

pytestmark = pytest.mark.long
RUN = """
import resource, sys
from xai_detect.commands.app import main
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def megabytes(scans, out, count):
    """Peak memory of a process that inspects so many scans."""
    sources = sorted((scans / "images" / "val").iterdir())[:count]
    words = ["inspect", *map(str, sources), "--model", "planted/part", "--out", str(out)]
    few = ["--setting", "steps=4", "--setting", "max_steps=4"]
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words, *few], capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 3), done.stderr
    return int(done.stderr.split()[-1]) / 1024


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    simulate(tmp_path / "scans", 160, seed=11, size=192, planted="part")
    few = megabytes(tmp_path / "scans", tmp_path / "few", 20)
    many = megabytes(tmp_path / "scans", tmp_path / "many", 160)
    assert many < few + 120
    assert len(list((tmp_path / "many" / "records").iterdir())) == 160
    assert (tmp_path / "many" / "report.html").stat().st_size < 40e6
