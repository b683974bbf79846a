"""The functions of include/stepdown/Runtime.h as ctypes sees them."""
import ctypes
import os
from ctypes import POINTER, c_char_p, c_float, c_int32, c_int64, c_size_t, c_uint64, c_void_p


class Status(ctypes.Structure):
    _fields_ = [("code", c_int32), ("text", c_char_p)]


class LoadOptions(ctypes.Structure):
    _fields_ = [("isa", c_char_p)]


class SessionOptions(ctypes.Structure):
    _fields_ = [("threads", c_int32), ("kv_block", c_int32), ("kv_positions", c_int64), ("max_sequences", c_int32)]


class ModelInfo(ctypes.Structure):
    _fields_ = [("architecture", c_char_p), ("name", c_char_p)] + [
        (field, c_int32) for field in ("vocabulary", "width", "layers", "max_context", "max_step_tokens", "exact")
    ] + [(field, c_uint64) for field in ("weight_bytes", "arena_bytes", "kv_bytes_per_position")]


class SessionInfo(ctypes.Structure):
    _fields_ = [("threads", c_int32), ("kv_block", c_int32), ("max_sequences", c_int32), ("kv_positions", c_int64),
                ("kv_bytes", c_uint64), ("isa", c_char_p)]


class Token(ctypes.Structure):
    _fields_ = [("sequence", c_int32), ("id", c_int32), ("want_logits", c_int32)]


_HANDLE = c_void_p
_FUNCTIONS = {
    "stepdown_model_load": (Status, [c_char_p, POINTER(LoadOptions), POINTER(_HANDLE)]),
    "stepdown_model_free": (None, [_HANDLE]),
    "stepdown_model_describe": (None, [_HANDLE, POINTER(ModelInfo)]),
    "stepdown_session_create": (Status, [_HANDLE, POINTER(SessionOptions), POINTER(_HANDLE)]),
    "stepdown_session_free": (None, [_HANDLE]),
    "stepdown_session_describe": (None, [_HANDLE, POINTER(SessionInfo)]),
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
}


def load() -> ctypes.CDLL:
    """Opens the library and declares its functions; OSError where it is not found."""
    library = ctypes.CDLL(os.environ.get("STEPDOWN_LIBRARY", "libstepdown.so.0"))
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
