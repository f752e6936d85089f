"""Ultralytics imported and called without its log lines, the process left as it was.

What stays of an import: the modules themselves, the library's own logger, the settings file that it
writes into the user's configuration folder and, on Windows, what it puts in the place of OpenCV's
``imread``, ``imwrite`` and ``imshow``.
"""

import importlib
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import cv2
import numpy as np
import torch
from PIL import Image
from torch import _tensor_str

LIBRARY = "ultralytics"
NEEDED = ("ultralytics.nn.tasks", "ultralytics.utils.downloads", "ultralytics.utils.nms")
OFFLINE = "YOLO_OFFLINE"
VARIABLES = (
    OFFLINE, "OMP_NUM_THREADS", "NUMEXPR_MAX_THREADS", "TF_CPP_MIN_LOG_LEVEL",
    "TORCH_CPP_LOG_LEVEL", "KINETO_LOG_LEVEL",
)  # fmt: skip
"""What an import of the library sets in the environment, which programs started later inherit."""

_importing = threading.Lock()
_silent: ContextVar[bool] = ContextVar("silent", default=False)


@contextmanager
def quiet() -> Iterator[None]:
    """Import and call ultralytics without its log lines; those of other threads are heard."""
    _import_once()
    logging.getLogger(LIBRARY).addFilter(_heard)
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


def _heard(_record: logging.LogRecord) -> bool:
    return not _silent.get()


def _import_once() -> None:
    """Import the library; what that takes from the process is given back.

    It looks up two hosts to learn whether there is a network, which can take long where there is
    none; loading a local file needs no answer. It also replaces ``PIL.Image.open`` and
    ``torch.save``, takes OpenCV's threads, sets how arrays are printed, and variables.
    """
    with _importing:
        if all(name in sys.modules for name in NEEDED):
            return
        token = _silent.set(True)
        logging.getLogger(LIBRARY).addFilter(_heard)
        try:
            with _given_back(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                os.environ.setdefault(OFFLINE, "true")
                for name in NEEDED:
                    importlib.import_module(name)
        finally:
            _silent.reset(token)


@contextmanager
def _given_back() -> Iterator[None]:
    variables = {name: os.environ.get(name) for name in VARIABLES}
    opener, saver, threads = Image.open, torch.save, cv2.getNumThreads()
    try:
        with np.printoptions(), _tensor_str.printoptions():
            yield
    finally:
        Image.open, torch.save = opener, saver
        cv2.setNumThreads(threads)
        for name, value in variables.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
