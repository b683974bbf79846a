"""Changes single keys of a GGUF file, byte for byte the same otherwise.

    file = gguf_edit.read("in.gguf")
    file.set("llama.logit_scale", "f32", 0.5).drop("llama.vocab_size").write("out.gguf")

Needs nothing but Python.
"""
import struct

TYPES = ["u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"]
CODES = dict(zip(TYPES, "BbHhIif?xxQqd"))


def encode(kind, value):
    if kind == "string":
        text = value if isinstance(value, bytes) else value.encode()
        return struct.pack("<Q", len(text)) + text
    return struct.pack("<" + CODES[kind], value)


class File:
    def __init__(self, content):
        self.head, (tensors, pairs) = content[:8], struct.unpack_from("<QQ", content, 8)
        self.tensors, self.pairs, at = tensors, {}, 24
        for _ in range(pairs):
            length = struct.unpack_from("<Q", content, at)[0]
            key, begin = content[at + 8:at + 8 + length].decode(), at + 8 + length
            at = self.skip(content, begin)
            self.pairs[key] = content[begin:at]
        infos = at
        for _ in range(tensors):
            at += 8 + struct.unpack_from("<Q", content, at)[0]
            at += 4 + 8 * struct.unpack_from("<I", content, at)[0] + 12
        self.infos, self.data = content[infos:at], content[at + -at % 32:]

    @staticmethod
    def skip(content, at, kind=None):
        """The end of the value at `at`; of one without its type where `kind` gives it."""
        if kind is None:
            kind, at = TYPES[struct.unpack_from("<I", content, at)[0]], at + 4
        if kind == "string":
            return at + 8 + struct.unpack_from("<Q", content, at)[0]
        if kind != "array":
            return at + struct.calcsize("<" + CODES[kind])
        element, count = struct.unpack_from("<IQ", content, at)
        at += 12
        if TYPES[element] != "string":
            return at + count * struct.calcsize("<" + CODES[TYPES[element]])
        for _ in range(count):
            at = File.skip(content, at, "string")
        return at

    def set(self, key, kind, value):
        """`value` of type `kind`, or a list for an array of it."""
        if isinstance(value, list):
            body = struct.pack("<IIQ", TYPES.index("array"), TYPES.index(kind), len(value)) + b"".join(encode(kind, v) for v in value)
        else:
            body = struct.pack("<I", TYPES.index(kind)) + encode(kind, value)
        self.pairs[key] = body
        return self

    def drop(self, key):
        self.pairs.pop(key, None)
        return self

    def write(self, path):
        out = self.head + struct.pack("<QQ", self.tensors, len(self.pairs))
        out += b"".join(encode("string", key) + body for key, body in self.pairs.items()) + self.infos
        with open(path, "wb") as file:
            file.write(out + b"\0" * (-len(out) % 32) + self.data)
        return path


def read(path):
    with open(path, "rb") as file:
        return File(file.read())
