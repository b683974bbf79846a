"""Embedder: texts to vectors by a sentence encoder."""
from __future__ import annotations

import ctypes
from typing import Iterable, Optional

import numpy as np

from . import _arguments as given
from . import _model
from ._library import EmbedderOptions
from ._model import Model

_POOLINGS = {None: 0, "mean": 1, "cls": 2, "last": 3}


class Embedder:
    """Embeds texts with `model`, an encoder; used by one thread at a time.

    threads: 0 for one per core. pooling: "mean", "cls" or "last", and normalize: whether embeddings have length 1; None for what
    the checkpoint says. width: numbers of an embedding. longest: tokens that a text may have.
    """

    def __init__(self, model: Model, threads: int = 0, pooling: Optional[str] = None, normalize: Optional[bool] = None):
        self._handle = ctypes.c_void_p()
        if pooling not in _POOLINGS:
            raise given.Error(602, f"Embedder: pooling: expects mean, cls, last or None, but got {pooling!r}")
        unit = 0 if normalize is None else 1 if given.flag(normalize, "Embedder: normalize") else -1
        options = EmbedderOptions(threads=given.integer(threads, "Embedder: threads", 602), pooling=_POOLINGS[pooling], normalize=unit)
        self._library = _model._library_()
        _model._check(self._library.stepdown_embedder_create(model._handle, options, ctypes.byref(self._handle)))
        self.width: int = self._library.stepdown_embedder_width(self._handle)
        self.longest: int = self._library.stepdown_embedder_longest(self._handle)

    def __del__(self) -> None:
        if getattr(self, "_handle", None) and hasattr(self, "_library"):
            self._library.stepdown_embedder_free(self._handle)
            self._handle = ctypes.c_void_p()

    def embed(self, texts: Iterable[str]) -> np.ndarray:
        """float32 [texts, width]. A text's embedding is the same bytes alone and among others."""
        if isinstance(texts, str):
            raise TypeError("embed: texts: expects several, but got one str")
        data = [given.text(text, f"embed: text {i}", terminated=True) for i, text in enumerate(texts)]
        out = np.empty((len(data), self.width), np.float32)
        _model._check(self._library.stepdown_embed(self._handle, (ctypes.c_char_p * len(data))(*data), len(data),
                                                   out.ctypes.data_as(ctypes.POINTER(ctypes.c_float))))
        return out

    def embed_tokens(self, texts: "Iterable[Iterable[int]]") -> np.ndarray:
        """The same of ids, with those around a text (`Model.tokenize`)."""
        ids = [[given.integer(id, f"embed_tokens: text {i}", 1427) for id in text] for i, text in enumerate(texts)]
        flat, out = [id for text in ids for id in text], np.empty((len(ids), self.width), np.float32)
        _model._check(self._library.stepdown_embed_tokens(
            self._handle, (ctypes.c_int32 * len(flat))(*flat), (ctypes.c_size_t * len(ids))(*map(len, ids)), len(ids),
            out.ctypes.data_as(ctypes.POINTER(ctypes.c_float))))
        return out
