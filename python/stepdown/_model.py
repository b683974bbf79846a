"""Model, Session and Sequence: thin classes over the C API's handles."""
from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from typing import Callable, Iterable, Iterator, Optional, Sequence as Ids

import numpy as np

from . import _arguments as given
from . import _library
from ._arguments import Error
from ._library import ChatOptions, GenerateOptions, GenerationInfo, LoadOptions, Message, ModelInfo, Sampling, SessionInfo
from ._library import SessionOptions, Status, TextCallback, Token

_lib: Optional[ctypes.CDLL] = None


def _library_() -> ctypes.CDLL:
    global _lib
    if _lib is None:
        _lib = _library.load()
    return _lib


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


def load_options(what: str, isa: object, copy: object, device: object) -> LoadOptions:
    return LoadOptions(isa=given.optional_text(isa, f"{what}: isa"), copy=given.flag(copy, f"{what}: copy"),
                       device=given.optional_text(device, f"{what}: device"))


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

    isa: "x86-64-v3", "x86-64-v3-vnni", "x86-64-v4-vnni", "x86-64-v4-bf16", "aarch64-dotprod", or None for the best that the processor has.
    copy: read the file into memory of this process; else it is mapped, shared with other processes, and must not be cut short while the model lives.
    device: what runs it, by name; None for "cpu".
    """

    def __init__(self, path: "str | os.PathLike[str]", isa: Optional[str] = None, copy: bool = False,
                 device: Optional[str] = None):
        self._handle = ctypes.c_void_p()
        file, options = given.path(path, "Model: path"), load_options("Model", isa, copy, device)
        _check(_library_().stepdown_model_load(file, options, ctypes.byref(self._handle)))
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
        data, count = given.text(text, "tokenize: text"), ctypes.c_size_t()
        flags = given.flag(add_special, "tokenize: add_special") | given.flag(parse_special, "tokenize: parse_special") << 1
        return _ids(len(data) + 8, lambda ids, room: _library_().stepdown_model_tokenize(
            self._handle, data, len(data), flags, ids, room, ctypes.byref(count)), count)

    def token_bytes(self, id: int) -> bytes:
        """The bytes that a token stands for; b"" for control tokens."""
        id = given.integer(id, "token_bytes: id", 324)
        text, length = ctypes.create_string_buffer(4096), ctypes.c_size_t()
        _check(_library_().stepdown_model_token_text(self._handle, id, text, len(text), ctypes.byref(length)))
        return text.raw[: length.value]

    def detokenize(self, ids: Iterable[int], keep_special: bool = False) -> str:
        """The text of `ids`; control tokens only with `keep_special`."""
        ids, flags = given.ids(ids, "detokenize: ids", 324), 4 if given.flag(keep_special, "detokenize: keep_special") else 0
        room, length = 64 + 16 * len(ids), ctypes.c_size_t()
        while True:
            text = ctypes.create_string_buffer(room)
            status = _library_().stepdown_model_detokenize(self._handle, ids, len(ids), flags, text, room,
                                                           ctypes.byref(length))
            if status.code != 612:  # E0612: more bytes than room
                _check(status)
                return text.raw[: length.value].decode("utf-8", "replace")
            room = length.value

    def chat(self, messages: "Iterable[dict[str, object]]", answer: bool = True, **variables: object) -> list[int]:
        """The ids of the prompt that the model's chat template makes of [{"role": "user", "content": "Hello"}, ...]; with
        the beginning of an answer unless `answer` is False. Messages are what the template reads: contents of several parts,
        calls of tools, anything that JSON knows. What they say never becomes a control token. `variables` are what else the
        template reads (tools, enable_thinking ...). Error 4xx where the template refuses."""
        said = given.as_json(given.listed(messages, "chat: messages", "a list of messages"), "chat: messages")
        options, count = ChatOptions(messages=said, no_answer=not given.flag(answer, "chat: answer")), ctypes.c_size_t()
        if variables:
            options.variables = given.as_json(variables, "chat: variables")
        return _ids(64 + len(said), lambda ids, room: _library_().stepdown_model_chat_tokens(
            self._handle, None, 0, options, ids, room, ctypes.byref(count)), count)

    def ends_text(self, id: int) -> bool:
        return bool(_library_().stepdown_model_ends_text(self._handle, given.integer(id, "ends_text: id", 324)))

    def session(self, threads: int = 0, kv_block: int = 0, kv_positions: int = 0, max_sequences: int = 0) -> Session:
        """0 takes one thread a core, blocks of 32, the model's context once, 16 sequences."""
        return Session(self, threads, kv_block, kv_positions, max_sequences)

    def generate(self, prompt: "str | Ids[int]", max_tokens: int = 256,
                 choose: Optional[Callable[[np.ndarray], int]] = None, threads: int = 0, **options) -> str:
        """The text after `prompt`. `choose` draws an id from a row of logits, float32 [vocabulary]; None draws as the
        `options` of `Sequence.answer` say, the likeliest token where there are none."""
        ids = self.tokenize(prompt, parse_special=True) if isinstance(prompt, str) else list(given.ids(prompt, "generate: prompt", 603))
        max_tokens = given.integer(max_tokens, "generate: max_tokens", 611)
        positions = min(len(ids) + max_tokens, self.max_context)
        session = self.session(threads=threads, kv_positions=max(positions, 1), max_sequences=1)
        if choose is not None and options:
            raise TypeError(f"generate: expects either choose or ways to draw, but got also {', '.join(sorted(options))}")
        if choose is None:
            return session.sequence().answer(ids, max_tokens, **options).text
        return self.detokenize(session.sequence().generate(ids, max_tokens, choose))


class Session:
    """Sequences and their cache; used by one thread at a time."""

    def __init__(self, model: Model, threads: int, kv_block: int, kv_positions: int, max_sequences: int):
        self.model = model
        self._handle = ctypes.c_void_p()
        options = SessionOptions(threads=given.integer(threads, "session: threads", 602),
                                 kv_block=given.integer(kv_block, "session: kv_block", 602),
                                 kv_positions=given.integer(kv_positions, "session: kv_positions", 602, -(1 << 63), (1 << 63) - 1),
                                 max_sequences=given.integer(max_sequences, "session: max_sequences", 602))
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

    def _token(self, i: int, entry: object) -> Token:
        if not isinstance(entry, (tuple, list)) or len(entry) != 3 or not isinstance(entry[0], Sequence):
            raise TypeError(f"step: token {i}: expects (sequence, id, whether its logits are wanted), but got {entry!r:.60}")
        sequence, id, wanted = entry
        if sequence.session is not self:
            raise Error(604, f"step: token {i}: expects a sequence of this session, but got one of another")
        return Token(sequence._number, given.integer(id, f"step: token {i}: id", 603), given.flag(wanted, f"step: token {i}: wanted"))

    def sequence(self) -> Sequence:
        number = ctypes.c_int32()
        _check(_library_().stepdown_sequence_create(self._handle, ctypes.byref(number)))
        return Sequence(self, number.value)

    def step(self, batch: Iterable[tuple[Sequence, int, bool]]) -> np.ndarray:
        """Computes one ragged batch of (sequence, id, whether its logits are wanted): float32 [rows, vocabulary], copied."""
        tokens = [self._token(i, entry) for i, entry in enumerate(given.listed(batch, "step: batch", "a list of tokens"))]
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
        length = given.integer(length, "truncate: length", 609)
        _check(_library_().stepdown_sequence_truncate(self.session._handle, self._number, length))

    def feed(self, ids: Ids[int]) -> np.ndarray:
        """Appends `ids`, in as many steps as they need; the logits after the last one: float32 [vocabulary]."""
        ids, most = list(given.ids(ids, "feed: ids", 603)), self.session.model.max_step_tokens
        if not ids:
            raise Error(611, "feed: ids: expects at least one id, but got none")
        for begin in range(0, len(ids), most):
            part = ids[begin : begin + most]
            last = begin + len(part) == len(ids)
            rows = self.session.step([(self, id, last and i + 1 == len(part)) for i, id in enumerate(part)])
        return rows[0]

    def logits(self, ids: Ids[int]) -> np.ndarray:
        """Appends `ids`; the logits after each: float32 [len(ids), vocabulary]."""
        ids, most = list(given.ids(ids, "logits: ids", 603)), min(self.session.model.max_step_tokens, 64)
        if not ids:
            return np.empty((0, self.session.model.vocabulary), np.float32)
        parts = [ids[begin : begin + most] for begin in range(0, len(ids), most)]
        return np.concatenate([self.session.step([(self, id, True) for id in part]) for part in parts])

    def stream(self, ids: Ids[int], max_tokens: int = 256,
               choose: Optional[Callable[[np.ndarray], int]] = None) -> Iterator[int]:
        """Appends `ids`, then draws and yields tokens until the text ends or `max_tokens` are drawn."""
        max_tokens = given.integer(max_tokens, "stream: max_tokens", 611)
        if choose is not None:
            given.function(choose, "stream: choose")
        row = self.feed(ids)
        for drawn in range(max_tokens):
            id = int(np.argmax(row)) if choose is None else given.integer(choose(row), "stream: what choose returns", 603)
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
               bias: Optional[dict[int, float]] = None, sampling_order: Optional[str] = None,
               **sampling: float) -> Answer:
        """Appends `ids` and draws an answer, in C; the sequence then holds all of it but its last token.

        sampling: the fields of stepdown_sampling in Runtime.h (temperature, top_k, top_p, min_p, typical_p, top_n_sigma,
        repetition_penalty, presence_penalty, frequency_penalty, dry_multiplier, seed ...); none draws the likeliest token.
        sampling_order: names of steps (docs/sampling.md) with commas between, which alone are applied, in this order.
        bias: what is added to the logits of ids. on_text: called with text as it becomes certain, whole characters only;
        False from it ends the answer, and what it raises is raised here. Error 701 for an option out of its range.
        """
        options, info, drawn, texts, raised = GenerateOptions(), GenerationInfo(), [], [], []
        ways = self._ways(bias, sampling)
        if sampling_order is not None:
            ways.sampling_order = given.text(sampling_order, "answer: sampling_order", terminated=True)
        if on_text is not None:
            given.function(on_text, "answer: on_text")

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
        options.max_tokens = given.integer(max_tokens, "answer: max_tokens", 611)
        options.ignore_end, options.on_text = given.flag(ignore_end, "answer: ignore_end"), TextCallback(hear)
        stops = [given.text(text, f"answer: stop {i}", terminated=True)
                 for i, text in enumerate(given.listed(stop, "answer: stop", "a list of texts"))]
        ids = given.ids(ids, "answer: ids", 603)
        options.stops, options.stop_count = (ctypes.c_char_p * len(stops))(*stops), len(stops)
        status = _library_().stepdown_sequence_generate(self.session._handle, self._number, ids, len(ids), options, info)
        if raised:
            raise raised[0]
        _check(status)
        finish = ("", "end", "stop", "length", "callback")[info.finish]
        return Answer("".join(texts), drawn, finish, info.prompt_seconds, info.decode_seconds)

    @staticmethod
    def _ways(bias: object, sampling: "dict[str, object]") -> Sampling:
        """The ways to draw that `answer` was asked for."""
        kinds = {name: kind for name, kind in Sampling._fields_ if kind in (ctypes.c_float, ctypes.c_int32, ctypes.c_uint64)
                 and name not in ("size", "bias_count")}
        ways = Sampling()
        for name, value in sampling.items():
            if name not in kinds:
                raise TypeError(f"answer: expects one of {', '.join(sorted(kinds))}, but got {name!r}")
            what = f"answer: {name}"
            if kinds[name] is ctypes.c_float:
                setattr(ways, name, given.real(value, what))
            else:
                unsigned = kinds[name] is ctypes.c_uint64
                setattr(ways, name, given.integer(value, what, 701, *((0, (1 << 64) - 1) if unsigned else ())))
            if name in ("mirostat_eta", "dry_allowed_length") and getattr(ways, name) == 0:
                setattr(ways, name, -1)  # C's zero is their default
        if bias is None:
            return ways
        if not isinstance(bias, dict):
            raise TypeError(f"answer: bias: expects a dict of ids and numbers, but got {type(bias).__name__}")
        ids = given.ids(list(bias), "answer: bias", 702)
        values = [given.real(value, f"answer: bias of id {id}") for id, value in bias.items()]
        if ids:
            ways.bias_ids, ways.bias, ways.bias_count = ids, (ctypes.c_float * len(values))(*values), len(values)
        return ways
