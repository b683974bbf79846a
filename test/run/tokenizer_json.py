#!/usr/bin/env python3
"""tokenizer.json against the Python package tokenizers: the same ids, and the same text back.

    tokenizer_json.py --bin build/bin --library build/libstepdown.so                       made vocabularies
    tokenizer_json.py --bin build/bin --library build/libstepdown.so qwen3-tokenizer.json  and files
    tokenizer_json.py ... --count 100000 --seed 7                                          random texts of each script

A tiny model around each tokenizer is compiled, since the library tokenizes for models. Ends with 77 where numpy, gguf or
tokenizers are missing.
"""
import argparse, json, os, random, shutil, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "data"), os.path.join(HERE, "..", "..", "python")]
from conformance import Suite
try:
    import tokenizers
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)
import make_folder
import tiny_tokenizer

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
    yield "SentencePiece with a prefix", piece(s, True, "<s>")
    yield "SentencePiece without", piece(g, False, "<bos>")


def check(suite, name, path, draw, count):
    import stepdown
    reference = tokenizers.Tokenizer.from_file(path)
    with open(path, encoding="utf-8") as file:
        added = [t["content"] for t in json.load(file)["added_tokens"]]
    folder, size = suite.path("folder"), max(reference.get_vocab(True).values()) + 1
    shutil.rmtree(folder, ignore_errors=True)
    make_folder.build(suite.made("model.gguf", f"--layers 1 --width 32 --heads 2 --kv-heads 1 --vocab {max(size, 389)}"), folder)
    shutil.copy(path, os.path.join(folder, "tokenizer.json"))
    make_folder.write_json(folder, "tokenizer_config.json", {})
    artifact = suite.path("tokenizer.stepdown")
    suite.call("stepdown-compile", folder, "-o", artifact, f"--jobs={suite.jobs}")
    model = stepdown.Model(artifact)
    different, total = [], 0
    for script, ranges in SCRIPTS.items():
        for text in texts(draw, alphabet(ranges), added, count):
            total += 1
            expected = reference.encode(text)
            got = model.tokenize(text, add_special=False, parse_special=True)
            plain = reference.encode(text, add_special_tokens=False).ids
            if got != plain:
                different.append(f"{name}: {script}: {text!r}: expects {plain}, but got {got}")
            elif model.tokenize(text, add_special=True, parse_special=True) not in (expected.ids, plain):
                different.append(f"{name}: {script}: {text!r}: expects {expected.ids} around it")
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
