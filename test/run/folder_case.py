"""One case of the tests of folders (folders.py): where its folder lies, what is done to it, and what comes of it."""
import json, os, shutil, struct

import numpy as np
import make_folder
from conformance import LOGIT, TOKENS


def logits_of(suite, folder, name, true):
    """--exact within the bounds of a float32 run, at the highest level: what is read is the same for all."""
    artifact = suite.compiled(folder, "--exact", f"--target={suite.levels[-1]}")
    got, _ = suite.logits(artifact, TOKENS, "--exact")
    error = np.abs(got - true).max()
    suite.expect(error <= LOGIT, f"{name}: expects logits within {LOGIT}, but one is off by {error:.2g}")
    print(f"{name:40s} {error:.1e}", flush=True)
    os.remove(artifact)


def emptied(suite):
    """The folder of one case."""
    folder = suite.path("folder")
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def edited(name, change):
    """A change of the JSON file `name` of a folder."""
    def apply(folder):
        path = os.path.join(folder, name)
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
        change(value)
        make_folder.write_json(folder, name, value)
    return apply


def config(**keys):
    return edited("config.json", lambda value: value.update(keys))


def header(change):
    """A change of the header of model.safetensors, whose data stay."""
    def apply(folder):
        path = os.path.join(folder, "model.safetensors")
        value, data = make_folder.read_safetensors(path)
        text = change(value)
        text = json.dumps(value).encode() if text is None else text
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text + data)
    return apply


def cut(name, size):
    def apply(folder):
        with open(os.path.join(folder, name), "r+b") as file:
            file.truncate(size if size >= 0 else os.path.getsize(os.path.join(folder, name)) + size)
    return apply


def tensors(change):
    """Weights written anew, after a change of {name: (dtype, shape, bytes)}."""
    def apply(folder):
        path = os.path.join(folder, "model.safetensors")
        names, data = make_folder.read_safetensors(path)
        names.pop("__metadata__")
        all = {n: (t["dtype"], t["shape"], data[slice(*t["data_offsets"])]) for n, t in names.items()}
        change(all)
        make_folder.write_safetensors(path, all)
    return apply


def sharded(change):
    """Two shards in place of the one file, and a change of the folder then."""
    def apply(folder):
        path = os.path.join(folder, "model.safetensors")
        all = {}
        tensors(all.update)(folder)
        os.remove(path)
        make_folder.write_weights(folder, all, 2)
        change(folder)
    return apply


Q, NORM = "model.layers.0.self_attn.q_proj.weight", "model.norm.weight"
INDEX, SHARD = "model.safetensors.index.json", "model-00002-of-00002.safetensors"


def offsets(name, first, last):
    return header(lambda h: h[name].update(data_offsets=[h[name]["data_offsets"][0] + first, h[name]["data_offsets"][1] + last]))


def twice(folder):
    """The header names a tensor twice, which no dict can."""
    header(lambda h: json.dumps(h).replace('"' + NORM + '"', '"' + Q + '"').encode())(folder)


def template(entry):
    """<|im_start|> before the text, with `entry` for it among special_tokens."""
    return edited("tokenizer.json", lambda t: t.update(post_processor={
        "type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [], "special_tokens": {} if entry is None else {"<|im_start|>": {"id": "<|im_start|>", "tokens": ["<|im_start|>"], **entry}}}))


def refused(suite, sound, name, change, number, text, opens=False):
    """A sound folder after `change`: its error, or, where it still opens, what keeps it from running."""
    folder = emptied(suite)
    shutil.copytree(sound, folder)
    change(folder)
    try:
        said = json.loads(suite.call("stepdown-run", "inspect", folder, "--json"))
        said = "error " + said["refusal"] if opens and not said["runs"] else "no error"
    except RuntimeError as error:
        said = "an error, although it is to open" if opens else str(error)
    suite.expect(f"error E{number:04d}: " in said and text in said, f"{name}: expects E{number:04d} and '{text}', but got {said}")
