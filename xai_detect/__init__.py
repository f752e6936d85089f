"""Explain object detectors and say which detections the evidence supports.

The way through: ``load_detector``, ``load_image``, ``detect``, ``explain``, ``weigh``, ``judge``;
``inspect`` does all of it, ``save`` writes a run folder and ``load_run`` reads it back.

The names stand in ``__init__.pyi`` and are loaded when first used: what needs no network, such as
the simulator, does not wait for torch.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
