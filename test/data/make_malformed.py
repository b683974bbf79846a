#!/usr/bin/env python3
"""Writes one small file for each way a GGUF can be wrong, and a manifest of the numbered error each must get.

    make_malformed.py FOLDER

manifest.tsv: case, file, what to do with it (open | model | finite), expected code (0: accepted), and texts separated by
'|' that the message must contain: the field, the value and, where there is one, the offset. The number that a
case begins with is what is wrong:

  1 short header   2 magic   3 version, byte order   4 tensor count   5 pair count   6 string length   7 array length
  8 value type   9 nested arrays   10 empty, long or repeated key   11 alignment   12 rank   13 zero or negative dimension
  14 overflowing product   15 partial block   16 tensor type   17 tensor name   18 unaligned offset   19 offset outside
  20 overlap, gap   21 overflowing total   22 truncation   24 split sets   25 missing key, wrong type   26 zero counts,
  heads that do not divide   27 enormous counts, per-layer arrays   28 experts   29 missing or misshapen tensor   30 rotary
  parameters, epsilon, scales   31 NaN and infinite weights   32 keys and 33 tensors that nothing reads       (23, error paths, is what the fuzz targets look for)

Cases named good-* must be accepted. Needs nothing but Python.
"""
import os, struct, sys

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
PACK = {U8: "<B", I8: "<b", U16: "<H", I16: "<h", U32: "<I", I32: "<i", F32: "<f", BOOL: "<B", U64: "<Q", I64: "<q", F64: "<d"}
HUGE = 2**64 - 1
NAN, INF = float("nan"), float("inf")


def string(text, length=None):
    text = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(text) if length is None else length) + text


def value(kind, v):
    if kind == STRING:
        return string(v)
    return struct.pack(PACK[kind], v)


def pair(key, kind, v):
    return string(key) + struct.pack("<I", kind) + value(kind, v)


def array(key, kind, items, count=None):
    head = string(key) + struct.pack("<IIQ", ARRAY, kind, len(items) if count is None else count)
    return head + b"".join(value(kind, i) for i in items)


def info(name, dims, kind=0, offset=0, rank=None):
    packed = b"".join(struct.pack("<Q", d % 2**64) for d in dims)
    return string(name) + struct.pack("<I", len(dims) if rank is None else rank) + packed + struct.pack("<IQ", kind % 2**32, offset)


def gguf(pairs=(), infos=(), data=b"", version=3, magic=b"GGUF", tensor_count=None, pair_count=None, alignment=32):
    head = magic + struct.pack("<IQQ", version, len(infos) if tensor_count is None else tensor_count,
                               len(pairs) if pair_count is None else pair_count)
    head += b"".join(pairs) + b"".join(infos)
    return head + b"\0" * (-len(head) % alignment) + data if infos else head + data


class Suite:
    def __init__(self, folder):
        self.folder, self.rows = folder, []
        os.makedirs(folder, exist_ok=True)

    def write(self, name, content):
        with open(os.path.join(self.folder, name), "wb") as out:
            out.write(content)

    def case(self, name, code, content, *words, do="open", file=None):
        file = file or name + ".gguf"
        self.write(file, content)
        self.rows.append("\t".join([name, file, do, str(code), "|".join(words)]))

    def finish(self):
        self.write("manifest.tsv", ("\n".join(self.rows) + "\n").encode())


def container(s):
    arch = pair("general.architecture", STRING, "llama")
    s.case("01-empty", 101, b"", "header", "offset 0", "24 bytes")
    s.case("01-short", 101, gguf()[:23], "header", "23")
    s.case("02-magic", 102, gguf(magic=b"GGML"), "magic", "offset 0", "47 47 4d 4c")
    s.case("02-magic-swapped", 102, gguf(magic=b"FUGG"), "magic")
    for v in (0, 1, 4, 99):
        s.case(f"03-version-{v}", 103, gguf(version=v), "version", "offset 4", f"got {v}")
    s.case("03-big-endian", 104, gguf(version=0x03000000), "version", "0x03000000", "big-endian")
    s.case("04-tensor-count", 105, gguf(tensor_count=2**40), "tensor count", "offset 8", str(2**40))
    s.case("04-tensor-count-negative", 105, gguf(tensor_count=HUGE), "tensor count", str(HUGE))
    s.case("04-tensor-count-wraps", 105, gguf([arch], tensor_count=2**64 // 25 + 1), "tensor count")
    s.case("05-pair-count", 106, gguf(pair_count=2**40), "metadata count", "offset 16", str(2**40))
    s.case("05-pair-count-negative", 106, gguf(pair_count=HUGE), "metadata count", str(HUGE))
    key = string("a.key") + struct.pack("<I", STRING)
    s.case("06-string", 107, gguf([key + struct.pack("<Q", 1000) + b"short"]), "a.key", "offset 41", "1000")
    s.case("06-string-wraps", 107, gguf([key + struct.pack("<Q", HUGE) + b"short"]), "a.key", str(HUGE))
    s.case("06-string-near-wrap", 107, gguf([key + struct.pack("<Q", 2**64 - 41) + b"x" * 60]), "a.key")
    s.case("06-key", 107, gguf([string("k", HUGE) + b"\0" * 20]), "metadata pair 0", "offset 24", str(HUGE))
    s.case("06-gigabyte", 107, gguf([key + struct.pack("<Q", 2**30) + b"x"]), "a.key", str(2**30))
    s.case("06-array-string", 107, gguf([string("a.list") + struct.pack("<IIQ", ARRAY, STRING, 2) + string("one") + string("two", HUGE)]),
           "a.list", "element 1", str(HUGE))
    s.case("07-array", 108, gguf([array("a.list", U32, [1], 1000)]), "a.list", "1000", "u32")
    s.case("07-array-wraps", 108, gguf([array("a.list", U64, [1], 2**61)]), "a.list", str(2**61))
    s.case("07-array-negative", 108, gguf([array("a.list", U8, [1], HUGE)]), "a.list", str(HUGE))
    s.case("07-array-strings", 108, gguf([array("a.list", STRING, ["x"], 2**60)]), "a.list", str(2**60))
    s.case("08-value-type", 109, gguf([string("a.key") + struct.pack("<I", 13) + b"\0" * 8]), "a.key", "value type", "13")
    s.case("08-value-type-negative", 109, gguf([string("a.key") + b"\xff" * 4 + b"\0" * 8]), "a.key", "value type")
    s.case("08-element-type", 109, gguf([string("a.list") + struct.pack("<IIQ", ARRAY, 77, 2**60)]), "a.list", "element type", "77")
    inner = struct.pack("<IQ", ARRAY, 1)
    s.case("09-nested", 110, gguf([string("a.list") + struct.pack("<I", ARRAY) + inner * 10000]), "a.list", "array of arrays")
    s.case("10-empty-key", 111, gguf([pair("", U32, 1)]), "metadata pair 0", "key length", "got 0")
    s.case("10-long-key", 111, gguf([pair("k" * 65536, U32, 1)]), "key length", "65536")
    s.case("10-duplicate-key", 112, gguf([pair("a.key", U32, 1), pair("a.key", U32, 2)]), "a.key", "repeated", "offset 45")
    for a in (0, 3, 2**31, 2**21):
        s.case(f"11-alignment-{a}", 113, gguf([pair("general.alignment", U32, a)]), "general.alignment", f"got {a}", "offset 53")
    s.case("11-alignment-type", 113, gguf([pair("general.alignment", U64, 32)]), "general.alignment", "u32", "u64")
    s.case("11-alignment-text", 113, gguf([pair("general.alignment", STRING, "32")]), "general.alignment", "string")


def tensors(s):
    data = b"\0" * 128
    s.case("12-rank", 114, gguf(infos=[info("w", [1] * 5)], data=data), "'w'", "number of dimensions", "got 5", "offset 33")
    s.case("12-rank-huge", 114, gguf(infos=[info("w", [1], rank=2**32 - 1)], data=data), "'w'", str(2**32 - 1))
    s.case("13-rank-zero", 114, gguf(infos=[info("w", [])], data=data), "'w'", "got 0")
    s.case("13-zero", 115, gguf(infos=[info("w", [4, 0])], data=data), "'w'", "dimension 1", "got 0", "offset 45")
    s.case("13-negative", 115, gguf(infos=[info("w", [-4])], data=data), "'w'", "dimension 0", "-4")
    s.case("14-product", 116, gguf(infos=[info("w", [2**32, 2**32])], data=data), "'w'", "4294967296 x 4294967296")
    s.case("14-product-wraps-small", 116, gguf(infos=[info("w", [2**62, 4, 4, 8])], data=data), "'w'", "dimensions")
    s.case("14-bytes", 116, gguf(infos=[info("w", [2**62])], data=data), "'w'", "bytes", str(2**62))
    s.case("14-32-bit", 128, gguf(infos=[info("w", [2**16, 2**16])], data=data), "'w'", str(2**34))
    s.case("15-block", 117, gguf(infos=[info("w", [33], 2)], data=data), "'w'", "dimension 0", "32", "q4_0", "got 33")
    s.case("15-block-256", 117, gguf(infos=[info("w", [128], 12)], data=data), "'w'", "256", "q4_k", "got 128")
    s.case("16-type-negative", 118, gguf(infos=[info("w", [32], -1)], data=data), "'w'", "type", "got -1")
    s.case("16-type-removed", 118, gguf(infos=[info("w", [32], 4)], data=data), "'w'", "got 4", "removed")
    s.case("16-type-unknown", 118, gguf(infos=[info("w", [32], 1000)], data=data), "'w'", "1000", "unknown")
    for kind in (97, 133, 158, 202, 399):
        s.case(f"16-type-private-{kind}", 118, gguf(infos=[info("w", [32], kind)], data=data), "'w'", f"got {kind} (a private type of ik_llama.cpp)")
    for kind in (96, 100, 132, 159, 201, 400):
        s.case(f"16-type-beside-{kind}", 118, gguf(infos=[info("w", [32], kind)], data=data), "'w'", f"got {kind} (unknown)")
    s.case("16-type-unsupported", 119, gguf(infos=[info("w", [256], 15)], data=data), "'w'", "Q8_K", "q4_k", "iq2_xxs")
    s.case("17-name-long", 120, gguf(infos=[info("n" * 64, [4])], data=data), "name length", "got 64", "offset 24")
    s.case("17-name-empty", 120, gguf(infos=[info("", [4])], data=data), "name length", "got 0")
    s.case("17-name-wraps", 120, gguf(infos=[string("w", HUGE) + b"\0" * 40], data=data), "name length", str(HUGE))
    s.case("17-duplicate", 121, gguf(infos=[info("w", [4]), info("w", [4], offset=32)], data=data), "'w'", "repeated")
    s.case("18-unaligned", 122, gguf(infos=[info("w", [4], offset=16)], data=data), "'w'", "alignment 32", "got 16", "offset 49")
    s.case("19-past-end", 123, gguf(infos=[info("w", [4], offset=4096)], data=data), "'w'", "offset", "4096")
    s.case("19-wraps", 123, gguf(infos=[info("w", [8], offset=2**64 - 32)], data=data), "'w'", str(2**64 - 32))
    two = lambda first, second: [info("a", [8], offset=first), info("b", [8], offset=second)]
    s.case("20-overlap", 124, gguf(infos=[info("a", [16]), info("b", [16], offset=32)], data=data), "'b'", "'a'", "expects at least 64", "got 32")
    s.case("20-same-place", 124, gguf(infos=two(0, 0), data=data), "'a'", "got 0")
    s.case("20-gap", 125, gguf(infos=two(0, 64), data=data), "'b'", "expects 32", "got 64")
    s.case("20-gap-first", 125, gguf(infos=[info("a", [8], offset=32)], data=data), "'a'", "expects 0", "got 32")
    big = 2**60 + 8
    s.case("21-total", 126, gguf(infos=[info(c, [big], offset=0) for c in "abcd"], data=data), "'d'", str(big * 4))
    s.case("22-data", 128, gguf(infos=[info("w", [64])], data=data), "'w'", "256", "128 remain", "offset 64")
    s.case("22-no-data", 128, gguf(infos=[info("w", [64])])[:57], "data section")
    s.case("22-pair", 127, gguf([pair("a.key", U64, 1)])[:-1], "a.key", "8 bytes", "7 remain")
    s.case("22-pair-type", 127, gguf([string("a.longer.key") + b"\0\0"]), "a.longer.key", "value type")
    s.case("22-array-head", 127, gguf([string("a.list") + struct.pack("<II", ARRAY, U8) + b"\0\0"]), "a.list", "array count")
    s.case("22-info", 127, gguf(infos=[info("tensor.name", [4])])[:64], "'tensor.name'")


def split(s):
    def shard(no, count, name, total=2, numbers=(U16, U16)):
        keys = [pair("split.no", numbers[0], no), pair("split.count", numbers[1], count), pair("split.tensors.count", I32, total)]
        return gguf(keys, [info(name, [8])], b"\0" * 32)

    def pair_of(name, code, first, second, *words):
        if second is not None:
            s.write(f"{name}-00002-of-00002.gguf", second)
        s.case(name, code, first, *words, file=f"{name}-00001-of-00002.gguf")

    pair_of("good-split", 0, shard(0, 2, "a"), shard(1, 2, "b"))
    pair_of("24-number", 129, shard(0, 2, "a"), shard(5, 2, "b"), "00002-of-00002", "split.no", "expects 1", "got 5")
    pair_of("24-first", 129, shard(1, 2, "a"), shard(1, 2, "b"), "split.no", "first shard", "got 1")
    pair_of("24-count", 130, shard(0, 2, "a"), shard(1, 3, "b"), "split.count", "expects 2", "got 3")
    pair_of("24-count-huge", 130, shard(0, 2**31, "a", numbers=(U16, U32)), shard(1, 2, "b"), "split.count", str(2**31))
    pair_of("24-missing", 131, shard(0, 2, "a"), None, "00002-of-00002", "missing")
    pair_of("24-duplicate", 132, shard(0, 2, "a"), shard(1, 2, "a"), "'a'", "two")
    pair_of("24-total", 133, shard(0, 2, "a", 3), shard(1, 2, "b", 3), "split.tensors.count", "expects 2", "got 3")
    s.case("24-name", 134, shard(0, 2, "a"), "-00001-of-00002.gguf")
    pair_of("24-broken", 102, shard(0, 2, "a"), b"JUNK" + shard(1, 2, "b")[4:], "00002-of-00002", "magic")
    pair_of("24-negative", 202, shard(0, -2, "a", numbers=(U16, I32)), None, "split.count", "-2")


class Model:
    """A llama of one layer, width 8: two heads of four, one of them for keys and values."""

    def __init__(self):
        self.keys = {
            "general.architecture": (STRING, "llama"), "llama.context_length": (U32, 64), "llama.embedding_length": (U32, 8),
            "llama.block_count": (U32, 1), "llama.feed_forward_length": (U32, 16), "llama.attention.head_count": (U32, 2),
            "llama.attention.head_count_kv": (U32, 1), "llama.attention.layer_norm_rms_epsilon": (F32, 1e-5),
            "llama.vocab_size": (U32, 5),
        }
        self.arrays = {}
        self.tensors = {
            "token_embd.weight": [8, 5], "output_norm.weight": [8], "blk.0.attn_norm.weight": [8], "blk.0.attn_q.weight": [8, 8],
            "blk.0.attn_k.weight": [8, 4], "blk.0.attn_v.weight": [8, 4], "blk.0.attn_output.weight": [8, 8],
            "blk.0.ffn_norm.weight": [8], "blk.0.ffn_gate.weight": [8, 16], "blk.0.ffn_up.weight": [8, 16],
            "blk.0.ffn_down.weight": [16, 8],
        }

    def set(self, key, kind, v):
        self.keys["llama." + key] = (kind, v)
        return self

    def general(self, key, kind, v, whole=None):
        self.keys[whole or "general." + key] = (kind, v)
        return self

    def array(self, key, kind, items):
        self.keys.pop("llama." + key, None)
        self.arrays["llama." + key] = (kind, items)
        return self

    def without(self, name):
        self.keys.pop(name, None)
        self.tensors.pop(name, None)
        return self

    def shape(self, name, dims):
        self.tensors[name] = dims
        return self

    def bytes(self, fill=0.01, kinds={}, poison=b""):
        pairs = [pair(k, *v) for k, v in self.keys.items()] + [array(k, *v) for k, v in self.arrays.items()]
        infos, data = [], b""
        for name, dims in self.tensors.items():
            count = 1
            for d in dims:
                count *= d
            infos.append(info(name, dims, kinds.get(name, 0), len(data)))
            body = struct.pack("<f", fill) * count if name not in kinds else poison
            data += body + b"\0" * (-len(body) % 32)
        return gguf(pairs, infos, data)


def with_architecture(m, name):
    m.keys = {key.replace("llama.", name + "."): v for key, v in m.keys.items()}
    m.keys["general.architecture"] = (STRING, name)
    return m


def with_experts(count, used):
    m = Model().set("expert_count", U32, count).set("expert_used_count", U32, used).shape("blk.0.ffn_gate_inp.weight", [8, count])
    for name, dims in (("gate", [8, 16]), ("up", [8, 16]), ("down", [16, 8])):
        m.without(f"blk.0.ffn_{name}.weight").shape(f"blk.0.ffn_{name}_exps.weight", dims + [count])
    return m


def model(s):
    def case(name, code, m, *words):
        s.case(name, code, m if isinstance(m, bytes) else m.bytes(), *words, do="model")

    case("good-model", 0, Model())
    for key in ("general.architecture", "llama.context_length", "llama.embedding_length", "llama.block_count",
                "llama.feed_forward_length", "llama.attention.head_count", "llama.attention.layer_norm_rms_epsilon", "llama.vocab_size"):
        case("25-missing-" + key.split(".", 1)[1].replace(".", "-"), 201, Model().without(key), key, "missing")
    case("25-string-for-integer", 202, Model().set("block_count", STRING, "1"), "llama.block_count", "unsigned integer", "string", "offset")
    case("25-array-for-integer", 202, Model().array("block_count", U32, [1]), "llama.block_count", "array of u32")
    case("25-float-for-integer", 202, Model().set("embedding_length", F32, 8), "llama.embedding_length", "f32")
    case("25-negative", 202, Model().set("block_count", I32, -1), "llama.block_count", "-1")
    case("25-integer-for-string", 202, gguf([pair("general.architecture", U32, 3)]), "general.architecture", "string", "u32")
    case("25-float-array-for-layers", 202, Model().array("feed_forward_length", F32, [16.0]), "llama.feed_forward_length", "array of f32")
    case("25-kind", 203, gguf([pair("general.type", STRING, "adapter"), pair("general.architecture", STRING, "llama")]), "general.type", "adapter")
    case("25-architecture", 204, gguf([pair("general.architecture", STRING, "rwkv7")]), "general.architecture", "rwkv7", "hunyuan-dense, internlm2, llama", "offset")
    case("25-architecture-misspelt", 204, gguf([pair("general.architecture", STRING, "lama")]), "general.architecture", "did you mean llama?")
    for key in ("attention.head_count", "attention.head_count_kv", "block_count", "embedding_length", "feed_forward_length",
                "context_length", "vocab_size", "attention.key_length"):
        case("26-zero-" + key.replace(".", "-"), 205, Model().set(key, U32, 0), "llama." + key, "got 0", "offset")
    case("26-heads-kv", 209, Model().set("attention.head_count_kv", U32, 3), "head_count_kv", "2 query heads", "got 3")
    case("26-width", 209, Model().set("attention.head_count", U32, 3).set("attention.head_count_kv", U32, 3), "embedding_length", "3", "got 8")
    case("26-heads-over-width", 209, Model().set("attention.head_count", U32, 16), "embedding_length", "16", "got 8")
    case("27-layers", 205, Model().set("block_count", U32, 2**32 - 1), "llama.block_count", str(2**32 - 1))
    case("27-layers-64", 205, Model().set("block_count", U64, 2**63), "llama.block_count", str(2**63))
    case("27-array-long", 206, Model().array("attention.head_count", U32, [2, 2]), "attention.head_count", "array of 1", "got 2")
    case("27-array-short", 206, Model().array("feed_forward_length", U32, []), "feed_forward_length", "array of 1", "got 0")
    case("27-array-zero", 205, Model().array("attention.head_count_kv", U32, [0]), "head_count_kv", "element 0", "got 0")
    case("27-array-negative", 205, Model().array("attention.head_count", I32, [-2]), "head_count", "got -2")
    experts = lambda count, used: Model().set("expert_count", U32, count).set("expert_used_count", U32, used)
    case("28-experts", 211, experts(4, 5), "expert_used_count", "4 experts", "got 5")
    case("28-experts-none-used", 211, experts(4, 0), "expert_used_count", "got 0")
    case("28-groups", 211, experts(4, 2).set("expert_group_count", U32, 3), "expert_group_count", "4 experts", "got 3")
    case("28-experts-unsupported", 212, with_architecture(experts(4, 2), "phi3"), "phi3.expert_count", "4 experts")
    case("28-experts-lacking", 211, with_architecture(Model(), "olmoe"), "olmoe.expert_count", "got 0")
    case("28-experts-many", 205, experts(1025, 2), "expert_count", "1 to 1024", "got 1025")
    case("28-experts-many-used", 205, experts(1024, 65), "expert_used_count", "1 to 64", "got 65")
    case("28-groups-chosen", 212, experts(4, 2).set("expert_group_count", U32, 2), "expert_group_count", "0 or 1", "got 2")
    case("28-sigmoid", 212, experts(4, 2).set("expert_gating_func", U32, 2), "expert_gating_func", "softmax", "got 2")
    case("28-weights-of-all", 212, experts(4, 2).set("expert_weights_norm", BOOL, 0), "expert_weights_norm", "expects true", "got false")
    case("28-scale-negative", 210, experts(4, 2).set("expert_weights_scale", F32, -1), "expert_weights_scale", "got -1")
    case("28-shared", 285, experts(4, 2).set("expert_shared_count", U32, 1), "expert_shared_count", "experts")
    case("good-experts", 0, with_experts(4, 2))
    case("28-router-missing", 220, with_experts(4, 2).without("blk.0.ffn_gate_inp.weight"), "blk.0.ffn_gate_inp.weight", "missing")
    case("28-router-of-others", 221, with_experts(4, 2).shape("blk.0.ffn_gate_inp.weight", [8, 3]), "ffn_gate_inp", "{8, 4}", "{8, 3}")
    for name, dims in (("gate", [8, 16]), ("up", [8, 16]), ("down", [16, 8])):
        stack = f"blk.0.ffn_{name}_exps.weight"
        case(f"28-{name}-missing", 220, with_experts(4, 2).without(stack), stack, "missing")
        case(f"28-{name}-of-others", 221, with_experts(4, 2).shape(stack, dims + [5]), stack, f"{{{dims[0]}, {dims[1]}, 4}}", f"{{{dims[0]}, {dims[1]}, 5}}")
    case("28-dense-beside-experts", 286, with_experts(4, 2).shape("blk.0.ffn_up.weight", [8, 16]), "blk.0.ffn_up.weight")
    case("28-width-of-an-expert", 221, with_experts(4, 2).set("expert_feed_forward_length", U32, 8), "ffn_gate_exps", "{8, 8, 4}", "{8, 16, 4}")
    for name in ("token_embd.weight", "output_norm.weight", "blk.0.attn_q.weight", "blk.0.ffn_down.weight"):
        case("29-missing-" + name.replace(".", "-"), 220, Model().without(name), name, "missing")
    case("29-second-layer", 220, Model().set("block_count", U32, 2), "blk.1.attn_norm.weight")
    case("29-vocabulary", 221, Model().shape("token_embd.weight", [8, 4]), "token_embd.weight", "{8, 5}", "{8, 4}", "offset")
    case("29-transposed", 221, Model().shape("blk.0.ffn_down.weight", [8, 16]), "ffn_down", "{16, 8}", "{8, 16}")
    case("29-rank", 221, Model().shape("blk.0.attn_norm.weight", [8, 2]), "attn_norm", "{8}", "{8, 2}")
    case("29-bias", 221, Model().shape("blk.0.attn_q.bias", [4]), "attn_q.bias", "{8}", "{4}")
    case("29-output", 221, Model().shape("output.weight", [8, 6]), "output.weight", "{8, 5}", "{8, 6}")
    case("29-rope-freqs", 221, Model().shape("rope_freqs.weight", [3]), "rope_freqs.weight", "{2}", "{3}")
    for name, factor in (("zero", 0.0), ("negative", -1.0), ("nan", NAN), ("infinite", INF)):
        poisoned = lambda m, tensor: m.bytes(kinds={tensor: 0}, poison=struct.pack("<2f", 1.0, factor))
        case(f"30-rope-freqs-{name}", 230, poisoned(Model().shape("rope_freqs.weight", [2]), "rope_freqs.weight"), "rope_freqs.weight", "positive and finite", "element 1", "offset")
        for which in ("long", "short"):
            longrope = Model().shape("rope_factors_long.weight", [2]).shape("rope_factors_short.weight", [2]).set("rope.scaling.type", STRING, "longrope")
            case(f"30-rope-{which}-{name}", 230, poisoned(longrope, f"rope_factors_{which}.weight"), f"rope_factors_{which}.weight", "element 1")
    case("29-tokens", 208, with_tokens(6), "vocab_size", "6 entries", "got 5")
    for number in (0, 3, 6):
        case(f"30-rope-{number}", 213, Model().set("rope.dimension_count", U32, number), "rope.dimension_count", f"got {number}")
    for name, number in (("zero", 0), ("negative", -1e4), ("nan", NAN), ("inf", INF)):
        case("30-base-" + name, 213, Model().set("rope.freq_base", F32, number), "rope.freq_base", "got", "offset")
    for name, number in (("negative", -1), ("nan", NAN), ("inf", INF)):
        case("30-factor-" + name, 213, Model().set("rope.scaling.factor", F32, number), "rope.scaling.factor")
        case("30-epsilon-" + name, 207, Model().set("attention.layer_norm_rms_epsilon", F32, number), "epsilon", "offset")
        case("30-scale-" + name, 210, Model().set("attention.scale", F32, number), "attention.scale")
        case("30-attention-factor-" + name, 213, Model().set("rope.scaling.attn_factor", F32, number), "attn_factor")
    for name in ("scaling.attn_factor", "scaling.yarn_beta_fast", "scaling.yarn_beta_slow"):
        case("30-zero-" + name.replace(".", "-"), 213, Model().set("rope." + name, F32, 0), name, "got 0", "offset")
    yarn = Model().set("rope.scaling.type", STRING, "yarn").set("rope.scaling.factor", F32, 4)
    case("30-yarn-base", 213, yarn.set("rope.freq_base", F32, 1), "rope.freq_base", "above 1", "offset")
    case("30-scheme", 212, Model().set("rope.scaling.type", STRING, "spiral"), "rope.scaling.type", "spiral", "yarn")
    case("30-encoder", 212, Model().set("attention.causal", BOOL, 0), "attention.causal", "false")
    for key, kind, v in (("logit_scale", F32, 0.5), ("attention.clamp_kqv", F32, 8.0), ("attention.max_alibi_bias", F32, 8.0),
                         ("attn_logit_softcapping", F32, 50.0), ("final_logit_softcapping", F32, 30.0), ("use_parallel_residual", BOOL, 1),
                         ("pooling_type", U32, 3), ("ssm.state_size", U32, 16), ("a.key.of.next.year", U32, 0)):
        case("32-" + key.replace(".", "-"), 285, Model().set(key, kind, v), "llama." + key, "offset", "family llama")
    case("32-array", 285, Model().array("rope.dimension_sections", I32, [1, 1, 0, 0]), "rope.dimension_sections", "array of 4")
    case("32-labels", 285, Model().array("classifier.output_labels", STRING, ["good"]), "classifier.output_labels", "classifier")
    case("32-quantization-version", 212, Model().shape("blk.0.attn_rot_embd.weight", [32]).general("quantization_version", U32, 1).bytes(
        kinds={"blk.0.attn_rot_embd.weight": 2}, poison=b"\0" * 18), "general.quantization_version", "expects 2", "got 1")
    case("32-layout", 212, Model().set("tensor_data_layout", STRING, "transposed"), "tensor_data_layout", "transposed")
    case("32-diffusion", 285, Model().general("", BOOL, 1, "diffusion.shift_logits"), "diffusion.shift_logits")
    case("32-adapter", 285, Model().general("", STRING, "lora", "adapter.type"), "adapter.type", "lora")
    case("28-experts-used-alone", 211, Model().set("expert_used_count", U32, 2), "expert_used_count", "got 2")
    case("28-groups-alone", 211, Model().set("expert_group_count", U32, 2), "expert_group_count", "got 2")
    case("30-rope-swa", 212, Model().set("rope.dimension_count_swa", U32, 2), "rope.dimension_count_swa", "4", "got 2")
    case("30-embedding-out", 212, Model().set("embedding_length_out", U32, 4), "embedding_length_out", "8", "got 4")
    ramp = lambda kind, v: Model().set("rope.scaling.type", STRING, kind).set("rope.scaling.factor", F32, 2).set("rope.scaling.yarn_ext_factor", F32, v)
    case("30-ramp-yarn", 212, ramp("yarn", 0.5), "yarn_ext_factor", "expects 1", "got 0.5")
    case("30-ramp-linear", 212, ramp("linear", 1), "yarn_ext_factor", "expects 0", "got 1")
    case("good-ramp-yarn", 0, ramp("yarn", 1))
    case("good-ramp-unset", 0, ramp("linear", -1))
    # What asks for nothing may be there.
    off = Model()
    for key, kind, v in (("logit_scale", F32, 1), ("residual_scale", F32, 0), ("attention.clamp_kqv", F32, -0.0), ("expert_count", U32, 0),
                         ("expert_used_count", U32, 0), ("use_parallel_residual", BOOL, 0), ("pooling_type", U32, 0),
                         ("rope.scaling.finetuned", BOOL, 1), ("attention.layer_norm_epsilon", F32, 0.5), ("embedding_length_out", U32, 8),
                         ("tensor_data_layout", STRING, "Meta AI original pth")):
        off.set(key, kind, v)
    off.array("rope.dimension_sections", I32, [0, 0, 0, 0])
    off.general("sampling.temp", F32, 0.6).general("", STRING, "x", "someone.quantized_by").general("", BOOL, 0, "clip.has_vision_encoder")
    case("good-keys-that-ask-nothing", 0, off)
    extra = lambda name, dims: Model().shape(name, dims)
    for name, dims in (("blk.0.attn_q_norm.weight", [4]), ("blk.0.attn_norm.bias", [8]), ("output_norm.bias", [8]), ("blk.1.attn_norm.weight", [8]),
                       ("blk.0.ffn_up.scale", [1]), ("cls.weight", [8, 8]), ("mm.0.weight", [8, 8]), ("position_embd.weight", [8, 64]),
                       ("blk.0.ffn_gate_inp.weight", [8, 4])):
        case("33-" + name.replace(".", "-"), 286, extra(name, dims), name, "family llama", "offset")
    case("33-split-beside-fused", 286, extra("blk.0.attn_qkv.weight", [8, 16]), "blk.0.attn_q.weight", "got 3")
    longrope = extra("rope_factors_long.weight", [2]).shape("rope_factors_short.weight", [2]).set("rope.scaling.type", STRING, "longrope")
    case("good-longrope", 0, longrope)
    case("33-two-kinds-of-factors", 286, longrope.shape("rope_freqs.weight", [2]), "rope_freqs.weight")
    case("33-sinks", 221, extra("blk.0.attn_sinks.weight", [3]), "attn_sinks", "{2}", "{3}")
    case("good-old-frequencies", 0, extra("blk.0.attn_rot_embd.weight", [2]))
    case("30-value-size", 212, Model().set("attention.value_length", U32, 6), "value_length", "4", "got 6")
    finite(s)


def with_tokens(count):
    m = Model()
    m.arrays["tokenizer.ggml.tokens"] = (STRING, [f"t{i}" for i in range(count)])
    return m.bytes()


def finite(s):
    def poisoned(kind, block, width):
        m = Model().without("output_norm.weight").shape("blk.0.attn_rot_embd.weight", [width])
        return m.bytes(kinds={"blk.0.attn_rot_embd.weight": kind}, poison=block)

    for name, half in (("inf", 0x7C00), ("nan", 0x7E00)):
        d = struct.pack("<H", half)
        s.case(f"31-q4_0-{name}", 222, poisoned(2, d + b"\x11" * 16, 32), "blk.0.attn_rot_embd.weight", "q4_0", name, do="finite")
        s.case(f"31-q4_1-minimum-{name}", 222, poisoned(3, b"\0\x3c" + d + b"\x11" * 16, 32), "blk.0.attn_rot_embd.weight", name, do="finite")
        s.case(f"31-q6_k-{name}", 222, poisoned(14, b"\x11" * 208 + d, 256), "blk.0.attn_rot_embd.weight", "q6_k", do="finite")
        s.case(f"31-f32-{name}", 222, poisoned(0, struct.pack("<f", INF if name == "inf" else NAN), 1), "blk.0.attn_rot_embd.weight", "f32", do="finite")
    s.case("good-finite", 0, Model().bytes(), do="finite")
    s.case("good-infinite-scale-accepted", 0, Model().shape("blk.0.attn_rot_embd.weight", [32]).bytes(
        kinds={"blk.0.attn_rot_embd.weight": 2}, poison=b"\0\x7c" + b"\x11" * 16), do="model")


def good(s):
    s.case("good-nothing", 0, gguf())
    s.case("good-version-2", 0, gguf([pair("a.key", U32, 1)], version=2))
    two = [info("a", [3]), info("b", [5], offset=32)]
    s.case("good-unpadded-end", 0, gguf(infos=two, data=b"\0" * 52))
    s.case("good-trailing-bytes", 0, gguf(infos=two, data=b"\0" * 100))
    s.case("good-order", 0, gguf(infos=[info("b", [5], offset=32), info("a", [3])], data=b"\0" * 64))
    s.case("good-alignment-1", 0, gguf([pair("general.alignment", U32, 1)], [info("a", [3]), info("b", [5], offset=12)], b"\0" * 32, alignment=1))
    s.case("good-alignment-1024", 0, gguf([pair("general.alignment", U32, 1024)], [info("a", [3]), info("b", [5], offset=1024)],
                                          b"\0" * 1044, alignment=1024))
    s.case("good-all-types", 0, gguf([pair(f"k.{k}", k, 1) for k in PACK] + [array(f"a.{k}", k, [1, 0, 1]) for k in PACK] +
                                     [pair("k.s", STRING, "x"), array("a.s", STRING, ["", "y"]), array("a.none", STRING, [])]))
    s.case("good-key-not-utf8", 0, gguf([pair(b"\xff\xfe", STRING, b"\x80\0")]))


def main():
    s = Suite(sys.argv[1])
    for group in (container, tensors, split, model, good):
        group(s)
    s.finish()


if __name__ == "__main__":
    main()
