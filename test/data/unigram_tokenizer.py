"""tokenizer.json of made Unigram vocabularies, and the map of characters that SentencePiece compiles for them."""
import base64, struct
import numpy as np

MARK = "\u2581"
# With shorter keys that are beginnings of longer ones, clusters of several characters, and texts that vanish.
CHARACTERS = {"\t": " ", "\n": " ", "\r": " ", "\u3000": " ", "\u00a0": " ", "\u00ad": "", "\u200b": "", "A": "a", "B": "b", "\uff21": "a", "\ufb01": "fi", "e\u0301": "é",
              "a\u0300": "à", "2": "two", "²": "2", "\u2167": "VIII", "\u0439": "\u0438", "\uac00": "\u1100\u1161", "\u05b0": "", "\U0001d400": "A", "\U0001f600": ":)"}


def characters_map(pairs):
    """The bytes of tokenizer.ggml.precompiled_charsmap: a double array in which each node has 256 entries of its own."""
    texts, offsets = b"", {}
    for key, value in pairs.items():
        offsets[key.encode()] = len(texts)
        texts += value.encode() + b"\0"
    nodes = {b""} | {key[:i] for key in offsets for i in range(1, len(key) + 1)}
    block = {node: 256 * (k + 1) for k, node in enumerate(sorted(nodes))}
    array = [1 << 31] * (256 * (len(nodes) + 1))
    place = {b"": 0}
    for node in sorted(nodes, key=len):
        if node:
            place[node] = block[node[:-1]] ^ node[-1]
    for node, at in place.items():
        array[at] = (at ^ block[node]) << 10 | (node in offsets) << 8 | (node[-1] if node else 0)
        if node in offsets:
            array[block[node]] = 1 << 31 | offsets[node]
    trie = struct.pack(f"<{len(array)}I", *array)
    return struct.pack("<I", len(trie)) + trie + texts


def tokenizer(letters, seed=5, characters=None, strip=False, collapse=None, splits=False, scheme="always", split=True, byte_fallback=False):
    """`letters` are those that words are made of; `collapse` is what several spaces become."""
    random = np.random.default_rng(seed)
    pieces = dict.fromkeys([MARK, MARK * 2, *letters])
    for size, count in ((2, 400), (3, 200)):
        for _ in range(count):
            word = "".join(random.choice(letters, size))
            pieces[MARK + word if random.random() < 0.4 else word] = None
    names = ["<s>", "<pad>", "</s>", "<unk>"] + [f"<0x{b:02X}>" for b in range(256) if byte_fallback]
    pieces = [p for p in pieces if p not in names]
    scores = np.float32(random.normal(-9, 2, len(pieces)))
    vocab = [[name, 0.0] for name in names] + [[p, float(s)] for p, s in zip(pieces, scores)]
    size = len(vocab)
    added = [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} for i, t in enumerate(names[:4])]
    added.append({**added[0], "id": size, "content": "<mask>", "lstrip": True})
    normalizers = [{"type": "Precompiled", "precompiled_charsmap": base64.b64encode(characters_map(characters)).decode()}] if characters else []
    normalizers += [{"type": "Strip", "strip_left": False, "strip_right": True}] if strip else []
    normalizers += [{"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": collapse}] if collapse else []
    marks = {"type": "Metaspace", "replacement": MARK, "prepend_scheme": scheme, "split": split}
    around = {t: {"id": t, "ids": [names.index(t)], "tokens": [t]} for t in ("<s>", "</s>")}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": normalizers} if len(normalizers) > 1 else normalizers[0] if normalizers else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, marks]} if splits else marks,
        "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
                           "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": around},
        "decoder": marks, "model": {"type": "Unigram", "unk_id": 3, "vocab": vocab, "byte_fallback": byte_fallback},
    }
