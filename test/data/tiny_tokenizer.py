"""Small but valid tokenizers for generated models: byte-level BPE with real merges, and SPM with byte tokens.

Every byte sequence can be encoded with either. Both are learned from the paragraph below, so that text gives tokens of
several lengths; what is left of the vocabulary is filled with unused tokens.
"""
TEXT = (
    "The capital of France is Paris, and the capital of Spain is Madrid. A step-down transformer lowers voltage; the "
    "house on the hill has a small door, three windows and a garden where the old cat sleeps in the sun. When the rain "
    "comes, the water runs down the stairs, over the stones and into the river that goes to the sea. Once upon a time "
    "there was a little girl who counted the stars: one, two, three, four, five, six, seven, eight, nine and ten. "
)
NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TURNS = (
    "{{ bos_token }}{% for message in messages %}{{'<start_of_turn>' + (message['role'] if message['role'] == 'user' "
    "else 'model') + '\n' + message['content'] + '<end_of_turn>\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)


def byte_alphabet():
    """GPT-2's printable stand-in of each byte, in byte order."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    alphabet, extra = {}, 0
    for b in range(256):
        alphabet[b] = chr(b) if b in plain else chr(256 + extra)
        extra += b not in plain
    return [alphabet[b] for b in range(256)]


def learn_merges(words, limit):
    """Pair merges by falling count, ties by first appearance: [(left, right)]."""
    merges = []
    while len(merges) < limit:
        counts = {}
        for word in words:
            for pair in zip(word, word[1:]):
                counts[pair] = counts.get(pair, 0) + 1
        if not counts:
            break
        best = max(counts, key=lambda p: counts[p])
        merges.append(best)
        for i, word in enumerate(words):
            out, k = [], 0
            while k < len(word):
                joined = k + 1 < len(word) and (word[k], word[k + 1]) == best
                out.append(word[k] + word[k + 1] if joined else word[k])
                k += 2 if joined else 1
            words[i] = out
    return merges


def fill(tokens, types, size):
    while len(tokens) < size:
        tokens.append(f"[unused{len(tokens)}]")
        types.append(UNUSED)


def bpe(size, pre):
    """(metadata of tokenizer.*) for a byte-level BPE vocabulary of `size` >= 260 tokens."""
    alphabet = byte_alphabet()
    words = [[alphabet[b] for b in w.encode()] for w in TEXT.replace(" ", "\n ").split("\n")]
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    assert size >= 256 + len(special), "a byte-level vocabulary needs 259 tokens"
    merges = []
    tokens = list(alphabet)
    for left, right in learn_merges(words, size - 256 - len(special)):
        if left + right not in tokens:
            tokens.append(left + right)
        merges.append(f"{left} {right}")
    types = [NORMAL] * len(tokens)
    first = len(tokens)
    tokens += special
    types += [CONTROL] * len(special)
    fill(tokens, types, size)
    return {
        "model": "gpt2", "pre": pre, "tokens": tokens, "token_type": types, "merges": merges, "scores": None,
        "bos_token_id": first, "eos_token_id": first + 2, "padding_token_id": first, "add_bos_token": False,
        "chat_template": CHATML,
    }


def spm(size, gemma):
    """(metadata of tokenizer.*) for an SPM vocabulary of `size` >= 300 tokens."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"] if gemma else ["<unk>", "<s>", "</s>"]
    tokens = list(special)
    types = [UNKNOWN if t == "<unk>" else CONTROL for t in special]
    tokens += [f"<0x{b:02X}>" for b in range(256)]
    types += [BYTE] * 256
    text = TEXT.replace(" ", "\u2581")
    pieces = sorted(set(text))
    assert size >= len(tokens) + len(pieces), f"this SPM vocabulary needs {len(tokens) + len(pieces)} tokens"
    scores = [0.0] * len(tokens)
    words = [list(w) for w in text.replace("\u2581", "\n\u2581").split("\n") if w]
    merged = []
    for left, right in learn_merges(words, size - len(tokens) - len(pieces)):
        if left + right not in merged:
            merged.append(left + right)
    for rank, piece in enumerate(merged + pieces):  # earlier merges score higher; single characters come last
        tokens.append(piece)
        types.append(NORMAL)
        scores.append(-float(rank))
    fill(tokens, types, size)
    scores += [-1e4] * (len(tokens) - len(scores))
    out = {
        "model": "llama", "pre": "default", "tokens": tokens, "token_type": types, "merges": None, "scores": scores,
        "bos_token_id": special.index("<bos>" if gemma else "<s>"), "eos_token_id": special.index("<eos>" if gemma else "</s>"),
        "unknown_token_id": special.index("<unk>"), "add_bos_token": True, "add_space_prefix": not gemma,
        "chat_template": TURNS if gemma else None,
    }
    if gemma:
        out["padding_token_id"], out["eot_token_id"] = 0, 5
    return out


def write(writer, tokenizer):
    """Adds the tokenizer's keys to a gguf.GGUFWriter."""
    for key, value in tokenizer.items():
        name = "tokenizer." + key if key == "chat_template" else "tokenizer.ggml." + key
        if value is None:
            continue
        if isinstance(value, bool):
            writer.add_bool(name, value)
        elif isinstance(value, int):
            writer.add_uint32(name, value)
        elif isinstance(value, str):
            writer.add_string(name, value)
        else:
            writer.add_array(name, value)
