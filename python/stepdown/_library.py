"""The functions of include/stepdown/Runtime.h as ctypes sees them."""
import ctypes
import os
import sys
from ctypes import POINTER, c_char_p, c_double, c_float, c_int32, c_int64, c_size_t, c_uint64, c_void_p


class Status(ctypes.Structure):
    _fields_ = [("code", c_int32), ("text", c_char_p)]


class Sized(ctypes.Structure):
    """A structure that begins with its size, so that later versions of the library can tell which fields it has."""

    def __init__(self, **values):
        super().__init__(size=ctypes.sizeof(self), **values)


class LoadOptions(Sized):
    _fields_ = [("size", c_size_t), ("isa", c_char_p), ("copy", c_int32), ("reserved", c_int32),
                ("device", c_char_p)]


class SessionOptions(Sized):
    _fields_ = [("size", c_size_t), ("kv_positions", c_int64), ("threads", c_int32), ("kv_block", c_int32),
                ("max_sequences", c_int32), ("reserved", c_int32)]


class ModelInfo(Sized):
    _fields_ = [("size", c_size_t), ("architecture", c_char_p), ("name", c_char_p)] + [
        (field, c_int32) for field in ("vocabulary", "width", "layers", "max_context", "max_step_tokens", "exact")
    ] + [(field, c_uint64) for field in ("weight_bytes", "arena_bytes", "kv_bytes_per_position")]


class SessionInfo(Sized):
    _fields_ = [("size", c_size_t), ("kv_positions", c_int64), ("kv_bytes", c_uint64), ("isa", c_char_p),
                ("threads", c_int32), ("kv_block", c_int32), ("max_sequences", c_int32), ("reserved", c_int32)]


class Token(ctypes.Structure):
    _fields_ = [("sequence", c_int32), ("id", c_int32), ("want_logits", c_int32)]


class Message(ctypes.Structure):
    _fields_ = [("role", c_char_p), ("content", c_char_p)]


class ChatOptions(Sized):
    _fields_ = [("size", c_size_t), ("variables", c_char_p), ("no_answer", c_int32), ("reserved", c_int32),
                ("messages", c_char_p)]


class Sampling(Sized):
    _fields_ = [("size", c_size_t), ("temperature", c_float), ("top_n_sigma", c_float), ("top_k", c_int32), ("typical_p", c_float),
                ("top_p", c_float), ("min_p", c_float), ("xtc_probability", c_float), ("xtc_threshold", c_float),
                ("mirostat_tau", c_float), ("repetition_penalty", c_float), ("presence_penalty", c_float),
                ("frequency_penalty", c_float), ("penalty_window", c_int32), ("dry_multiplier", c_float),
                ("seed", c_uint64), ("bias_ids", POINTER(c_int32)), ("bias", POINTER(c_float)),
                ("bias_count", c_size_t), ("mirostat_eta", c_float), ("dry_base", c_float),
                ("dry_allowed_length", c_int32), ("dry_window", c_int32), ("sampling_order", c_char_p)]


class EmbedderOptions(Sized):
    _fields_ = [("size", c_size_t), ("threads", c_int32), ("pooling", c_int32), ("normalize", c_int32), ("reserved", c_int32)]


TextCallback = ctypes.CFUNCTYPE(c_int32, c_void_p, c_int32, POINTER(ctypes.c_char), c_size_t)


class GenerateOptions(Sized):
    _fields_ = [("size", c_size_t), ("max_tokens", c_int32), ("ignore_end", c_int32), ("sampling", POINTER(Sampling)),
                ("stops", POINTER(c_char_p)), ("stop_count", c_size_t), ("on_text", TextCallback), ("context", c_void_p)]


class GenerationInfo(Sized):
    _fields_ = [("size", c_size_t), ("prompt_tokens", c_int32), ("tokens", c_int32), ("finish", c_int32),
                ("reserved", c_int32), ("prompt_seconds", c_double), ("decode_seconds", c_double)]


class Array(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("element", c_int32), ("rank", c_int32), ("shape", c_int64 * 8)]


class FunctionInfo(Sized):
    _fields_ = [("size", c_size_t), ("name", c_char_p), ("arguments", c_size_t), ("results", c_size_t)]


_HANDLE = c_void_p
_FUNCTIONS = {
    "stepdown_model_load": (Status, [c_char_p, POINTER(LoadOptions), POINTER(_HANDLE)]),
    "stepdown_model_free": (None, [_HANDLE]),
    "stepdown_model_describe": (Status, [_HANDLE, POINTER(ModelInfo)]),
    "stepdown_session_create": (Status, [_HANDLE, POINTER(SessionOptions), POINTER(_HANDLE)]),
    "stepdown_session_free": (None, [_HANDLE]),
    "stepdown_session_describe": (Status, [_HANDLE, POINTER(SessionInfo)]),
    "stepdown_sequence_create": (Status, [_HANDLE, POINTER(c_int32)]),
    "stepdown_sequence_fork": (Status, [_HANDLE, c_int32, POINTER(c_int32)]),
    "stepdown_sequence_truncate": (Status, [_HANDLE, c_int32, c_int32]),
    "stepdown_sequence_length": (c_int32, [_HANDLE, c_int32]),
    "stepdown_sequence_free": (None, [_HANDLE, c_int32]),
    "stepdown_session_submit": (Status, [_HANDLE, POINTER(Token), c_size_t]),
    "stepdown_session_step": (Status, [_HANDLE]),
    "stepdown_session_logits": (POINTER(c_float), [_HANDLE, c_size_t]),
    "stepdown_session_logits_count": (c_size_t, [_HANDLE]),
    "stepdown_model_tokenize": (Status, [_HANDLE, c_char_p, c_size_t, c_int32, POINTER(c_int32), c_size_t,
                                         POINTER(c_size_t)]),
    "stepdown_model_token_text": (Status, [_HANDLE, c_int32, c_char_p, c_size_t, POINTER(c_size_t)]),
    "stepdown_model_ends_text": (c_int32, [_HANDLE, c_int32]),
    "stepdown_model_detokenize": (Status, [_HANDLE, POINTER(c_int32), c_size_t, c_int32, c_char_p, c_size_t,
                                           POINTER(c_size_t)]),
    "stepdown_model_chat_tokens": (Status, [_HANDLE, POINTER(Message), c_size_t, POINTER(ChatOptions), POINTER(c_int32),
                                            c_size_t, POINTER(c_size_t)]),
    "stepdown_model_chat_text": (Status, [_HANDLE, POINTER(Message), c_size_t, POINTER(ChatOptions), c_char_p, c_size_t,
                                          POINTER(c_size_t)]),
    "stepdown_sequence_generate": (Status, [_HANDLE, c_int32, POINTER(c_int32), c_size_t, POINTER(GenerateOptions),
                                            POINTER(GenerationInfo)]),
    "stepdown_embedder_create": (Status, [_HANDLE, POINTER(EmbedderOptions), POINTER(_HANDLE)]),
    "stepdown_embedder_free": (None, [_HANDLE]),
    "stepdown_embedder_width": (c_size_t, [_HANDLE]),
    "stepdown_embedder_longest": (c_size_t, [_HANDLE]),
    "stepdown_embed": (Status, [_HANDLE, POINTER(c_char_p), c_size_t, POINTER(c_float)]),
    "stepdown_embed_tokens": (Status, [_HANDLE, POINTER(c_int32), POINTER(c_size_t), c_size_t, POINTER(c_float)]),
    "stepdown_module_load": (Status, [c_char_p, POINTER(LoadOptions), POINTER(_HANDLE)]),
    "stepdown_module_free": (None, [_HANDLE]),
    "stepdown_module_isa": (c_char_p, [_HANDLE]),
    "stepdown_module_function_count": (c_size_t, [_HANDLE]),
    "stepdown_module_function": (Status, [_HANDLE, c_size_t, POINTER(FunctionInfo)]),
    "stepdown_module_value": (Status, [_HANDLE, c_size_t, c_size_t, POINTER(Array)]),
    "stepdown_module_call": (Status, [_HANDLE, c_char_p, POINTER(Array), c_size_t, POINTER(_HANDLE)]),
    "stepdown_results_count": (c_size_t, [_HANDLE]),
    "stepdown_results_array": (None, [_HANDLE, c_size_t, POINTER(Array)]),
    "stepdown_results_free": (None, [_HANDLE]),
}


def candidates() -> "list[str]":
    """Where the library is looked for: STEPDOWN_LIBRARY alone where it is set; else beside the package, in the prefix of
    this Python, in /usr/local, and where the system's linker looks."""
    named = os.environ.get("STEPDOWN_LIBRARY")
    if named:
        return [named]
    folders = [os.path.dirname(os.path.abspath(__file__))]
    for prefix in (sys.prefix, "/usr/local"):
        folders += [os.path.join(prefix, part) for part in ("lib", "lib64", "lib/x86_64-linux-gnu")]
    paths = [os.path.join(folder, "libstepdown.so.0") for folder in folders]
    return [path for path in paths if os.path.exists(path)] + ["libstepdown.so.0"]


def load() -> ctypes.CDLL:
    """Opens the first of `candidates` that loads, and declares its functions; OSError where none does."""
    problems = []
    for path in candidates():
        try:
            library = ctypes.CDLL(path)
        except OSError as problem:
            problems.append(str(problem))
            continue
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name, None)
            if function is None:
                raise OSError(f"{path}: expects the libstepdown.so.0 of this package's release, but it lacks {name}")
            function.restype, function.argtypes = result, arguments
        return library
    raise OSError("expects libstepdown.so.0: cmake --install it, or name it in STEPDOWN_LIBRARY; " + "; ".join(problems))
