#!/usr/bin/env python3
"""tokenizer.json against the Python package tokenizers: the same ids, and the same text back.

    tokenizer_json.py --bin build/bin --library build/libstepdown.so                       made vocabularies
    tokenizer_json.py --bin build/bin --library build/libstepdown.so qwen3-tokenizer.json  and files
    tokenizer_json.py ... --count 100000 --seed 7                                          random texts of each script

STEPDOWN_EVERY_ENCODER=1 goes through each kind of WordPiece, not two.

A tiny model around each tokenizer is compiled, since the library tokenizes for models. Runs in the Python of
`tools/test-python.sh --tokenizers` where that is there; ends with 77 where numpy, gguf or tokenizers are missing.
"""
import argparse, json, os, random, shutil, sys, unicodedata

HERE = os.path.dirname(os.path.abspath(__file__))
OWN = os.path.realpath(os.path.join(HERE, "..", "..", "build", "venv-tokenizers"))
if os.path.exists(OWN) and os.path.realpath(sys.prefix) != OWN:
    python = os.path.join(OWN, "bin", "python")
    os.execv(python, [python, os.path.abspath(__file__), *sys.argv[1:]])
sys.path[:0] = [HERE, os.path.join(HERE, "..", "data"), os.path.join(HERE, "..", "..", "python")]
from conformance import Suite
try:
    import tokenizers
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)
import make_encoder
import make_folder
import tiny_tokenizer
import unigram_tokenizer

# name: ranges of code points
SCRIPTS = {
    "Latin": "a-zA-Z", "Latin, accents": "à-ÿĀ-ſ\u0300-\u0308a-z", "Greek": "α-ωΑ-Ωά", "Cyrillic": "а-яА-Яё", "Armenian": "ա-ֆԱ-Ֆ",
    "Hebrew": "א-ת\u05b0-\u05bc", "Arabic": "ء-ي\u064b-\u0652٠-٩", "Devanagari": "अ-ह\u093e-\u094d०-९", "Bengali": "অ-হ\u09be-\u09cd",
    "Tamil": "அ-ஹ\u0bbe-\u0bcd", "Telugu": "అ-హ\u0c3e-\u0c4d", "Thai": "ก-ฮ\u0e30-\u0e39\u0e47-\u0e4e", "Georgian": "ა-ჰ", "Amharic": "ሀ-ፖ",
    "Khmer": "ក-អ\u17b6-\u17d2", "Korean": "가-힣ㄱ-ㅎ", "Japanese": "ぁ-んァ-ヴ一-丏", "Chinese": "一-龥，。！？", "Emoji": "😀-🙏🌀-🌟\u200d\ufe0f🏻-🏿",
    "Mathematics": "∀-⋿𝐀-𝑍²³½Ⅷ",
}
BETWEEN = " " * 8 + "\n\n\r\t,.;:!?'\"-_/()[]{}<>@#$%^&*+=~`|\\0123456789\u00a0\u3000\u2028\u0085\u180e\u200b\u00adſ▁"
WORDS = ["'s", "'LL", "'ve", " the", "\n\n\n", "   ", "\r\n", "can't", "é", "e\u0301", "<0x41>", "▁▁", "123456", "  \n x"]


def alphabet(ranges):
    out, i = [], 0
    while i < len(ranges):
        if i + 2 < len(ranges) and ranges[i + 1] == "-":
            out += [chr(c) for c in range(ord(ranges[i]), ord(ranges[i + 2]) + 1)]
            i += 3
        else:
            out.append(ranges[i])
            i += 1
    return out


def texts(draw, letters, special, count):
    for _ in range(count):
        out = ""
        for _ in range(draw.randint(0, 12)):
            kind = draw.random()
            if kind < 0.6:
                out += "".join(draw.choices(letters, k=draw.randint(1, 6)))
            elif kind < 0.85:
                out += draw.choice(BETWEEN)
            elif kind < 0.95 or not special:
                out += draw.choice(WORDS)
            else:
                out += draw.choice(special)
        yield out


# Split of the models that say so: Llama 3, GPT-4o, Tekken.
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
CONTRACTION, SPACES = "(?i:'s|'t|'re|'ve|'m|'ll|'d)", r"\s*[\r\n]+|\s+(?!\S)|\s+"


def cased(contraction, number):
    first = r"[^\r\n\p{L}\p{N}]?"
    return rf"{first}{UPPER}*{LOWER}+{contraction}|{first}{UPPER}+{LOWER}*{contraction}|{number}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{SPACES}"


PATTERNS = {
    "llama3": CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + SPACES,
    "gpt-4o": cased(CONTRACTION + "?", r"\p{N}{1,3}"), "tekken": cased("", r"\p{N}"),
}


def around(tokenizer, before, after):
    """`tokenizer` with tokens before and after a text, null for none."""
    ids = {t["content"]: t["id"] for t in tokenizer["added_tokens"]}
    piece = lambda token: [{"SpecialToken": {"id": token, "type_id": 0}}] if token else []
    return {**tokenizer, "post_processor": {
        "type": "TemplateProcessing", "single": [*piece(before), {"Sequence": {"id": "A", "type_id": 0}}, *piece(after)],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {t: {"id": t, "ids": [ids[t]], "tokens": [t]} for t in (before, after) if t}}}


def made():
    """Vocabularies with every switch that is supported: (name, tokenizer.json)."""
    b, s = tiny_tokenizer.bpe(500, "smollm"), tiny_tokenizer.spm(520, False)
    q, g = tiny_tokenizer.bpe(500, "qwen2"), tiny_tokenizer.spm(520, True)
    level = lambda t: make_folder.byte_level(t["tokens"], t["token_type"], t["merges"], t["pre"])
    piece = lambda t, prefix, bos: make_folder.sentence_piece(t["tokens"], t["token_type"], t["scores"], prefix, bos)
    yield "digits and ByteLevel", level(b)
    yield "Split and ByteLevel", level(q)
    whole = level(q)
    whole["model"]["ignore_merges"] = True
    whole["model"]["merges"] = whole["model"]["merges"][:20]
    whole["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFC"}]}
    yield "whole words, NFC", whole
    added = level(b)
    size = len(b["tokens"])
    for text, flags in (("<|x|>", dict(lstrip=True)), ("<|x|>y", dict(rstrip=True)), ("|>yy", dict(lstrip=True, rstrip=True)),
                        ("ab", dict(normalized=True)), ("bc", {}), ("bcd", dict(normalized=True)), ("\n\n", {})):
        added["added_tokens"].append(make_folder.added_token(size, text, text[0] == "<", **flags))
        size += 1
    yield "added tokens that overlap and strip", added
    for text in ("<|é|>", "é", "a b"):  # characters that stand for bytes, and one that stands for none
        known = text in added["model"]["vocab"]
        added["added_tokens"].append(make_folder.added_token(added["model"]["vocab"].get(text, size), text, False))
        size += not known
    yield "added tokens of other bytes", added
    for name, pattern in PATTERNS.items():
        split = level(q)
        split["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = pattern
        if name != "gpt-4o":  # as tiktoken's are converted: what matches is kept, and everything does
            split["pre_tokenizer"]["pretokenizers"][0].update(behavior="Removed", invert=True)
        yield f"Split of {name}", split
    tokens = [t["content"] for t in level(q)["added_tokens"] if t["special"]]
    yield "tokens before and after", around(level(q), tokens[0], tokens[-1])
    yield "a token after", around(level(q), None, tokens[-1])
    composed = level(q)
    composed["normalizer"] = {"type": "NFC"}
    for text in ("é", "e\u0301", "a"):
        composed["added_tokens"].append(make_folder.added_token(composed["model"]["vocab"].get(text, len(q["tokens"])), text, False))
    yield "NFC beside added tokens", composed
    yield "SentencePiece with a prefix", piece(s, True, "<s>")
    yield "SentencePiece without", piece(g, False, "<bos>")
    for scheme, split in (("always", True), ("first", False), ("never", True)):
        marked = piece(s, scheme != "never", "<s>")
        marked["normalizer"], marked["pre_tokenizer"] = None, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}
        # Of a tokenizer without a normalizer they are taken, and behind the others; one begins with the mark.
        for text, flags in (("ab", dict(normalized=True)), ("▁th", {}), ("<x>", dict(lstrip=True, rstrip=True))):
            if text not in marked["model"]["vocab"]:
                marked["added_tokens"].append(make_folder.added_token(len(marked["model"]["vocab"]) + sum(t["id"] >= len(marked["model"]["vocab"]) for t in marked["added_tokens"]), text, False, **flags))
        yield f"Metaspace, {scheme}{', split' if split else ''}", marked
    tabs = piece(g, False, "<bos>")  # as Gemma's are converted
    tabs["model"]["vocab"]["\t"] = tabs["model"]["vocab"].pop("<0x09>")
    tabs["pre_tokenizer"] = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    yield "SentencePiece with a tab for its byte", tabs
    words = make_encoder.vocabulary(420)
    for letters in map(alphabet, SCRIPTS.values()):  # some of each script, so that words are not all unknown
        letters = [c for l in letters[::max(1, len(letters) // 60)] for c in {l, l.lower(), *unicodedata.normalize("NFD", l)} if not unicodedata.combining(c)]
        words += [t for l in dict.fromkeys(letters) for t in (l, "##" + l) if t not in words]
    kinds = {"": {}, ", accents kept, BertProcessing": dict(strip=False, bert_processing=True), ", cased": dict(lowercase=False, cleanup=False),
             ", cased without accents": dict(lowercase=False, strip=True)}
    for name in list(kinds)[:4 if os.environ.get("STEPDOWN_EVERY_ENCODER") else 2]:
        yield f"WordPiece{name}", make_encoder.tokenizer(words, **kinds[name])


    letters = [l for ranges in SCRIPTS.values() for l in alphabet(ranges)[::7]][:900] + list("abcdefghijklmnopqrstuvwxyz0123456789.,'é")
    made_map = dict(characters=unigram_tokenizer.CHARACTERS)
    for name, switches in {"map, WhitespaceSplit": dict(made_map, splits=True), "map, strip, runs of spaces": dict(made_map, strip=True, collapse=unigram_tokenizer.MARK),
                           "map, runs of spaces": dict(made_map, collapse=" "), "no normalizer, bytes": dict(byte_fallback=True),
                           "never, unsplit": dict(scheme="never", split=False), "never, bytes": dict(scheme="never", byte_fallback=True)}.items():
        yield f"Unigram, {name}", unigram_tokenizer.tokenizer(letters, **switches)
    # Texts of added tokens that the map alone makes: of one that the model has, and of others.
    words = [text for text, _ in unigram_tokenizer.tokenizer(letters)["model"]["vocab"]]
    known = next(w for w in words[4:] if len(w) == 2 and unigram_tokenizer.MARK not in w)
    made_token = unigram_tokenizer.tokenizer(letters, characters={**unigram_tokenizer.CHARACTERS, "X": known, "Y": "abc", "Z": "bc"})
    for text in ("abc", "bc", known):
        id = words.index(text) if text in words else len(words) + sum(t["id"] >= len(words) for t in made_token["added_tokens"])
        made_token["added_tokens"].append(make_folder.added_token(id, text, False))
    yield "Unigram, added tokens that the map makes", made_token
    tab = unigram_tokenizer.tokenizer(letters, byte_fallback=True)
    for byte, character in (("<0x00>", "\0"), ("<0x09>", "\t")):
        next(entry for entry in tab["model"]["vocab"] if entry[0] == byte)[0] = character
    yield "Unigram, characters in place of their bytes", tab


def ends_of(tokenizer):
    """Ids of the tokens that are put before and after a text, or None."""
    ends, text = [None, None], False
    for part in (p := tokenizer["post_processor"] or {}).get("processors", [p]):
        if part.get("type") == "BertProcessing":
            return [part["cls"][1], part["sep"][1]]
        for piece in part.get("single", []):
            text = text or "Sequence" in piece
            if "SpecialToken" in piece:
                ends[text] = part["special_tokens"][piece["SpecialToken"]["id"]]["ids"][0]
    return ends


def check(suite, name, path, draw, count):
    import stepdown
    reference = tokenizers.Tokenizer.from_file(path)
    reference.no_padding()  # as transformers does where a caller asks for neither
    reference.no_truncation()
    with open(path, encoding="utf-8") as file:
        whole = json.load(file)
    added = [t["content"] for t in whole["added_tokens"]]
    first, last = ends_of(whole)
    names = {t["id"]: t["content"] for t in whole["added_tokens"]}
    folder, size = suite.path("folder"), max(reference.get_vocab(True).values()) + 1
    shutil.rmtree(folder, ignore_errors=True)
    make_folder.build(suite.made("model.gguf", f"--layers 1 --width 32 --heads 2 --kv-heads 1 --vocab {max(size, 389)}"), folder)
    shutil.copy(path, os.path.join(folder, "tokenizer.json"))
    make_folder.write_json(folder, "tokenizer_config.json", {})
    artifact = suite.path("tokenizer.stepdown")
    suite.call("stepdown-compile", folder, "-o", artifact, f"--jobs={suite.jobs}", f"--target={suite.levels[-1]}")
    model = stepdown.Model(artifact)
    different, total = [], 0
    repeats = whole["model"]["type"] == "WordPiece"  # around what has both already
    ends = [names.get(first, ""), names.get(last, "")]
    fixed = [a + " a b " + b for a in (*ends, "") for b in (*ends, "")]
    for script, ranges in [*SCRIPTS.items(), ("tokens at the ends", None)]:
        for text in texts(draw, alphabet(ranges), added, count) if ranges else fixed:
            total += 1
            got = model.tokenize(text, add_special=False, parse_special=True)
            plain = reference.encode(text, add_special_tokens=False).ids
            if got != plain:
                different.append(f"{name}: {script}: {text!r}: expects {plain}, but got {got}")
                continue
            expected = reference.encode(text).ids
            # What a text begins or ends with already is not put there again, but for WordPiece.
            if not repeats:
                expected = expected[first is not None and plain[:1] == [first]:]
                expected = expected[:len(expected) - (last is not None and plain[-1:] == [last])]
            if (got := model.tokenize(text, add_special=True, parse_special=True)) != expected:
                different.append(f"{name}: {script}: {text!r}: expects {expected} around it, but got {got}")
            elif (back := reference.decode(plain)) != model.detokenize(plain):
                different.append(f"{name}: {script}: {text!r}: expects {back!r} back, but got {model.detokenize(plain)!r}")
    suite.expect(not different, f"{len(different)} of {total}, first {different[:3]}")
    print(f"{name:40s} {total} texts, {len(different)} differ", flush=True)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--bin", required=True, help="folder of stepdown-compile and stepdown-run")
    a.add_argument("--library", required=True, help="libstepdown.so")
    a.add_argument("--count", type=int, default=100, help="random texts of each script")
    a.add_argument("--seed", type=int, default=None)
    a.add_argument("--jobs", type=int, default=os.cpu_count())
    a.add_argument("files", nargs="*", metavar="tokenizer.json")
    options = a.parse_args()
    os.environ["STEPDOWN_LIBRARY"] = os.path.abspath(options.library)
    suite = Suite(options)
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    for name, value in made():
        make_folder.write_json(suite.folder, "made.json", value)
        suite.run(name, lambda: check(suite, name, suite.path("made.json"), draw, options.count))
    for path in options.files:
        suite.run(path, lambda: check(suite, os.path.basename(path), path, draw, options.count))
    suite.finish()


if __name__ == "__main__":
    main()
