"""Ultralytics imported and called without its log lines, and without a trace in the process."""

import importlib
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from PIL import Image

LIBRARY = "ultralytics"
NEEDED = ("ultralytics.nn.tasks", "ultralytics.utils.downloads", "ultralytics.utils.nms")
OFFLINE = "YOLO_OFFLINE"

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
    none; loading a local file needs no answer. It also replaces ``PIL.Image.open``.
    """
    with _importing:
        if all(name in sys.modules for name in NEEDED):
            return
        offline, opener = os.environ.get(OFFLINE), Image.open
        os.environ.setdefault(OFFLINE, "true")
        token = _silent.set(True)
        logging.getLogger(LIBRARY).addFilter(_heard)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for name in NEEDED:
                    importlib.import_module(name)
        finally:
            _silent.reset(token)
            Image.open = opener
            if offline is None:
                os.environ.pop(OFFLINE, None)
