"""A fit that was interrupted: what it has counted, kept beside the file it was to write.

The same command finds it and goes on after the images that were counted. What was begun with
another network, data set or seed is not touched and not used.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import safetensors
import safetensors.numpy

from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.errors import InputError
from xai_detect.explainers.parchgrad.fit import Calibration
from xai_detect.explainers.parchgrad.statistics import weights_digest
from xai_detect.values.files import write_bytes

FORMAT = "xai_detect unfinished parchgrad statistics 1"
ENDING = ".unfinished"


class Unfinished:
    """Where an interrupted fit is kept.

    Attributes:
        path: The file, beside the one that the fit is to write.
    """

    def __init__(
        self, out: Path, detector: WhiteBoxDetector, names: Sequence[str], seed: int
    ) -> None:
        """Name the fit.

        Args:
            out: The file that the fit is to write.
            detector: The detector.
            names: Of all images, in order.
            seed: Of the fit.
        """
        self.path = out.with_name(out.name + ENDING)
        what = [weights_digest(detector), detector.provenance.input_size, seed, *names]
        self._key = hashlib.sha256(json.dumps(what).encode()).hexdigest()

    def resume(self, calibration: Calibration) -> int:
        """How many images were counted before; what was counted goes into the calibration.

        Raises:
            InputError: If there is a file, but not of this fit.
        """
        if not self.path.exists():
            return 0
        try:
            with safetensors.safe_open(str(self.path), framework="numpy") as file:
                header: dict[str, str] = file.metadata() or {}
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (safetensors.SafetensorError, OSError) as error:
            raise InputError(
                f"{self.path} is damaged ({error}); delete it to start anew"
            ) from error
        if (header.get("format"), header.get("key")) != (FORMAT, self._key):
            raise InputError(
                f"{self.path} was begun with other images, another model or seed; give the options "
                "it was begun with to go on, or delete it to start anew"
            )
        calibration.restore(arrays)
        return int(header["done"])

    def keep(self, calibration: Calibration, done: int) -> None:
        """Write down what the first ``done`` images gave."""
        header = {"format": FORMAT, "key": self._key, "done": str(done)}
        write_bytes(self.path, safetensors.numpy.save(calibration.state(), header))

    def end(self) -> None:
        """Remove the file, if there is one."""
        self.path.unlink(missing_ok=True)
