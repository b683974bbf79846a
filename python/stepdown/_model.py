"""Model, Session and Sequence: thin classes over the C API's handles."""
from __future__ import annotations

import ctypes
import json
import os
from dataclasses import dataclass
from typing import Callable, Iterable, Iterator, Optional, Sequence as Ids

import numpy as np

from . import _library
from ._library import ChatOptions, GenerateOptions, GenerationInfo, LoadOptions, Message, ModelInfo, Sampling, SessionInfo
from ._library import SessionOptions, Status, TextCallback, Token

_lib: Optional[ctypes.CDLL] = None


def _library_() -> ctypes.CDLL:
    global _lib
    if _lib is None:
        _lib = _library.load()
    return _lib


class Error(Exception):
    """A refusal. `code` is its number in docs/errors.md."""

    def __init__(self, code: int, text: str):
        super().__init__(f"error E{code:04d}: {text}")
        self.code = code


def _check(status: Status) -> None:
    if status.code:
        raise Error(status.code, status.text.decode("utf-8", "replace"))


def _ids(room: int, fill: Callable[[object, int], Status], count: ctypes.c_size_t) -> list[int]:
    """What `fill` writes into an array of `room` ids, and their number into `count`; once more where they did not fit."""
    while True:
        ids = (ctypes.c_int32 * room)()
        status = fill(ids, room)
        if status.code != 612:  # E0612: more ids than room
            _check(status)
            return list(ids[: count.value])
        room = count.value


@dataclass
class Answer:
    """What was drawn after a prompt.

    ids: the tokens, without one that ended the text. text: theirs, up to a stop text. finish: "end" (the model ended the
    text), "stop", "length", or "callback". The seconds are those of the prompt's steps and of the answer's.
    """

    text: str
    ids: list[int]
    finish: str
    prompt_seconds: float
    decode_seconds: float


class Model:
    """An artifact in memory. Any number of sessions and threads may share it.

    isa: "x86-64-v3", "x86-64-v4-vnni", or None for the best that the processor has. copy: read the file into memory of
    this process; else it is mapped, shared with other processes, and must not be cut short while the model lives.
    device: what runs it, by name; None for "cpu".
    """

    def __init__(self, path: "str | os.PathLike[str]", isa: Optional[str] = None, copy: bool = False,
                 device: Optional[str] = None):
        self._handle = ctypes.c_void_p()
        options = LoadOptions(isa=isa.encode() if isa else None, copy=copy,
                              device=device.encode() if device else None)
        _check(_library_().stepdown_model_load(os.fsencode(path), options, ctypes.byref(self._handle)))
        info = ModelInfo()
        _check(_library_().stepdown_model_describe(self._handle, info))
        self.architecture: str = info.architecture.decode()
        self.name: str = info.name.decode()
        self.vocabulary: int = info.vocabulary
        self.max_context: int = info.max_context
        self.max_step_tokens: int = info.max_step_tokens
        self.weight_bytes: int = info.weight_bytes
        self.arena_bytes: int = info.arena_bytes
        self.kv_bytes_per_position: int = info.kv_bytes_per_position

    def __del__(self) -> None:
        if getattr(self, "_handle", None) and _lib is not None:
            _lib.stepdown_model_free(self._handle)
            self._handle = ctypes.c_void_p()

    def tokenize(self, text: str, add_special: bool = True, parse_special: bool = False) -> list[int]:
        """The ids of `text`. `parse_special` reads "<|...|>" as control tokens: never for what a user wrote."""
        data, flags, count = text.encode(), (1 if add_special else 0) | (2 if parse_special else 0), ctypes.c_size_t()
        return _ids(len(data) + 8, lambda ids, room: _library_().stepdown_model_tokenize(
            self._handle, data, len(data), flags, ids, room, ctypes.byref(count)), count)

    def token_bytes(self, id: int) -> bytes:
        """The bytes that a token stands for; b"" for control tokens."""
        text, length = ctypes.create_string_buffer(4096), ctypes.c_size_t()
        _check(_library_().stepdown_model_token_text(self._handle, id, text, len(text), ctypes.byref(length)))
        return text.raw[: length.value]

    def detokenize(self, ids: Iterable[int], keep_special: bool = False) -> str:
        """The text of `ids`; control tokens only with `keep_special`."""
        ids = list(ids)
        room, length = 64 + 16 * len(ids), ctypes.c_size_t()
        while True:
            text = ctypes.create_string_buffer(room)
            status = _library_().stepdown_model_detokenize(self._handle, (ctypes.c_int32 * len(ids))(*ids), len(ids),
                                                           4 if keep_special else 0, text, room, ctypes.byref(length))
            if status.code != 612:  # E0612: more bytes than room
                _check(status)
                return text.raw[: length.value].decode("utf-8", "replace")
            room = length.value

    def chat(self, messages: "Iterable[dict[str, str]]", answer: bool = True, **variables: object) -> list[int]:
        """The ids of the prompt that the model's chat template makes of [{"role": "user", "content": "Hello"}, ...]; with
        the beginning of an answer unless `answer` is False. What a message says never becomes a control token. `variables`
        are what else the template reads (tools, enable_thinking ...), as JSON knows it."""
        said = [(message["role"].encode(), message["content"].encode()) for message in messages]
        listed, count = (Message * len(said))(*(Message(*pair) for pair in said)), ctypes.c_size_t()
        options = ChatOptions(variables=json.dumps(variables).encode() if variables else None, no_answer=not answer)
        if any(b"\0" in text for pair in said for text in pair):
            raise ValueError("chat: expects texts without NUL characters")
        return _ids(64 + sum(len(content) for _, content in said), lambda ids, room: _library_().stepdown_model_chat_tokens(
            self._handle, listed, len(said), options, ids, room, ctypes.byref(count)), count)

    def ends_text(self, id: int) -> bool:
        return bool(_library_().stepdown_model_ends_text(self._handle, id))

    def session(self, threads: int = 0, kv_block: int = 0, kv_positions: int = 0, max_sequences: int = 0) -> Session:
        """0 takes one thread a core, blocks of 32, the model's context once, 16 sequences."""
        return Session(self, threads, kv_block, kv_positions, max_sequences)

    def generate(self, prompt: "str | Ids[int]", max_tokens: int = 256,
                 choose: Optional[Callable[[np.ndarray], int]] = None, threads: int = 0, **options) -> str:
        """The text after `prompt`. `choose` draws an id from a row of logits, float32 [vocabulary]; None draws as the
        `options` of `Sequence.answer` say, the likeliest token where there are none."""
        ids = self.tokenize(prompt, parse_special=True) if isinstance(prompt, str) else list(prompt)
        positions = min(len(ids) + max_tokens, self.max_context)
        session = self.session(threads=threads, kv_positions=max(positions, 1), max_sequences=1)
        if choose is None:
            return session.sequence().answer(ids, max_tokens, **options).text
        return self.detokenize(session.sequence().generate(ids, max_tokens, choose))


class Session:
    """Sequences and their cache; used by one thread at a time."""

    def __init__(self, model: Model, threads: int, kv_block: int, kv_positions: int, max_sequences: int):
        self.model = model
        self._handle = ctypes.c_void_p()
        options = SessionOptions(threads=threads, kv_block=kv_block, kv_positions=kv_positions,
                                 max_sequences=max_sequences)
        _check(_library_().stepdown_session_create(model._handle, options, ctypes.byref(self._handle)))
        info = SessionInfo()
        _check(_library_().stepdown_session_describe(self._handle, info))
        self.threads: int = info.threads
        self.kv_positions: int = info.kv_positions
        self.kv_bytes: int = info.kv_bytes
        self.isa: str = info.isa.decode()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) and _lib is not None:
            _lib.stepdown_session_free(self._handle)
            self._handle = ctypes.c_void_p()

    def sequence(self) -> Sequence:
        number = ctypes.c_int32()
        _check(_library_().stepdown_sequence_create(self._handle, ctypes.byref(number)))
        return Sequence(self, number.value)

    def step(self, batch: Iterable[tuple[Sequence, int, bool]]) -> np.ndarray:
        """Computes one ragged batch of (sequence, id, whether its logits are wanted): float32 [rows, vocabulary], copied."""
        tokens = [Token(sequence._number, id, wanted) for sequence, id, wanted in batch]
        _check(_library_().stepdown_session_submit(self._handle, (Token * len(tokens))(*tokens), len(tokens)))
        _check(_library_().stepdown_session_step(self._handle))
        rows = np.empty((_library_().stepdown_session_logits_count(self._handle), self.model.vocabulary), np.float32)
        for i, row in enumerate(rows):  # they do not follow one another without gaps
            row[:] = np.ctypeslib.as_array(_library_().stepdown_session_logits(self._handle, i), row.shape)
        return rows


class Sequence:
    """Tokens of a session; its cache blocks go back when the object does."""

    def __init__(self, session: Session, number: int):
        self.session, self._number = session, number

    def __del__(self) -> None:
        if _lib is not None and self.session._handle:
            _lib.stepdown_sequence_free(self.session._handle, self._number)

    def __len__(self) -> int:
        return _library_().stepdown_sequence_length(self.session._handle, self._number)

    def fork(self) -> Sequence:
        """A second sequence with the same tokens, sharing their cache."""
        number = ctypes.c_int32()
        _check(_library_().stepdown_sequence_fork(self.session._handle, self._number, ctypes.byref(number)))
        return Sequence(self.session, number.value)

    def truncate(self, length: int) -> None:
        _check(_library_().stepdown_sequence_truncate(self.session._handle, self._number, length))

    def feed(self, ids: Ids[int]) -> np.ndarray:
        """Appends `ids`, in as many steps as they need; the logits after the last one: float32 [vocabulary]."""
        rows, most = np.empty((0, 0), np.float32), self.session.model.max_step_tokens
        for begin in range(0, len(ids), most):
            part = ids[begin : begin + most]
            last = begin + len(part) == len(ids)
            rows = self.session.step([(self, id, last and i + 1 == len(part)) for i, id in enumerate(part)])
        return rows[0]

    def logits(self, ids: Ids[int]) -> np.ndarray:
        """Appends `ids`; the logits after each: float32 [len(ids), vocabulary]."""
        most = min(self.session.model.max_step_tokens, 64)
        parts = [ids[begin : begin + most] for begin in range(0, len(ids), most)]
        return np.concatenate([self.session.step([(self, id, True) for id in part]) for part in parts])

    def stream(self, ids: Ids[int], max_tokens: int = 256,
               choose: Optional[Callable[[np.ndarray], int]] = None) -> Iterator[int]:
        """Appends `ids`, then draws and yields tokens until the text ends or `max_tokens` are drawn."""
        row = self.feed(ids)
        for drawn in range(max_tokens):
            id = int(np.argmax(row)) if choose is None else int(choose(row))
            if self.session.model.ends_text(id):
                return
            yield id
            if drawn + 1 < max_tokens:
                row = self.feed([id])

    def generate(self, ids: Ids[int], max_tokens: int = 256,
                 choose: Optional[Callable[[np.ndarray], int]] = None) -> list[int]:
        return list(self.stream(ids, max_tokens, choose))

    def answer(self, ids: Ids[int], max_tokens: int = 256, *, stop: Ids[str] = (),
               on_text: Optional[Callable[[str], object]] = None, ignore_end: bool = False,
               bias: Optional[dict[int, float]] = None, **sampling: float) -> Answer:
        """Appends `ids` and draws an answer, in C; the sequence then holds all of it but its last token.

        sampling: the fields of stepdown_sampling in Runtime.h (temperature, top_k, top_p, min_p, typical_p, top_n_sigma,
        repetition_penalty, presence_penalty, frequency_penalty, dry_multiplier, seed ...); none draws the likeliest token.
        bias: what is added to the logits of ids. on_text: called with text as it becomes certain, whole characters only;
        False from it ends the answer, and what it raises is raised here. Error 701 for an option out of its range.
        """
        options, info, drawn, texts, raised = GenerateOptions(), GenerationInfo(), [], [], []
        known = {name for name, _ in Sampling._fields_} - {"size", "bias_ids", "bias", "bias_count"}
        ways = Sampling()
        for name, value in sampling.items():
            if name not in known:
                raise TypeError(f"answer: expects one of {', '.join(sorted(known))}, but got {name!r}")
            setattr(ways, name, value)
        if bias:
            ways.bias_ids = (ctypes.c_int32 * len(bias))(*bias)
            ways.bias = (ctypes.c_float * len(bias))(*bias.values())
            ways.bias_count = len(bias)

        def hear(_context: object, id: int, text: "ctypes._Pointer[ctypes.c_char]", length: int) -> int:
            try:
                if id >= 0:
                    drawn.append(id)
                texts.append(text[:length].decode("utf-8", "replace"))
                return int(on_text is not None and bool(texts[-1]) and on_text(texts[-1]) is False)
            except BaseException as problem:  # must not pass through C
                raised.append(problem)
                return 1

        options.sampling = ctypes.pointer(ways)
        options.max_tokens, options.ignore_end, options.on_text = max_tokens, ignore_end, TextCallback(hear)
        stops = [text.encode() for text in stop]
        options.stops, options.stop_count = (ctypes.c_char_p * len(stops))(*stops), len(stops)
        status = _library_().stepdown_sequence_generate(self.session._handle, self._number,
                                                        (ctypes.c_int32 * len(ids))(*ids), len(ids), options, info)
        if raised:
            raise raised[0]
        _check(status)
        finish = ("", "end", "stop", "length", "callback")[info.finish]
        return Answer("".join(texts), drawn, finish, info.prompt_seconds, info.decode_seconds)
