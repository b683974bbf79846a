"""The real checkpoints against figures recorded from float64; the table of `conformance.py --models DIR --vectors DIR`."""
import json
import os
import numpy as np

FILES = {"smollm2.gguf": "smollm2-135m-instruct-q4_1.json", "gemma3.gguf": "gemma-3-270m-q4_k_m.json"}
# RMS of the top 20 logits that another 8-bit implementation has on the same file, where it was measured.
RMS = {"smollm2.gguf": 0.14}


def compare(suite, checkpoint, name, prompts):
    exact, fast = suite.compiled(checkpoint, "--exact"), suite.compiled(checkpoint)
    for prompt in prompts:
        tokens = prompt["tokens"]
        ids = ",".join(map(str, tokens))
        for level in suite.levels:
            what = f"{name} {prompt['name']} at {level}"
            row = {}
            for mode, artifact in (("--exact", exact), ("default", fast)):
                options = ["--isa", level] + (["--exact"] if mode == "--exact" else [])
                out = suite.path("logits.npy")
                said = json.loads(suite.call("stepdown-run", "eval", artifact, "--tokens", ids, "--logits", out, "--json", "--threads", 1, *options))
                last = np.load(out, mmap_mode="r")[-1].astype(np.float64)
                errors = np.array([last[i] - value for i, value in prompt["top"]])
                row[mode] = (np.abs(errors).max(), np.sqrt((errors**2).mean()), abs(said["mean_nll"] / prompt["mean_nll"] - 1))
                os.remove(out)
            worst, _, nll = row["--exact"]
            suite.expect(worst <= 2e-3, f"{what}: expects the top 20 within 0.002, but one is off by {worst:.2g}")
            suite.expect(nll <= 1e-4, f"{what}: expects mean NLL within 1e-4, but got {nll:.2g}")
            got = suite.generated(exact, tokens, len(prompt["greedy"]), "--threads", 1, "--isa", level, "--exact")["tokens"]
            same = next((i for i, (a, b) in enumerate(zip(got, prompt["greedy"])) if a != b), len(got))
            suite.expect(got == prompt["greedy"], f"{what}: expects {len(prompt['greedy'])} greedy ids, but number {same} differs")
            worst8, rms, nll8 = row["default"]
            if len(tokens) >= 25:
                suite.expect(nll8 <= 5e-3, f"{what}: expects default mean NLL within 0.5 %, but got {100 * nll8:.2f} %")
            if name in RMS:
                suite.expect(rms <= RMS[name], f"{what}: expects a default rms of {RMS[name]}, but got {rms:.3f}")
            print(f"{name:13s} {prompt['name']:6s} {len(tokens):4d} {level:15s} exact: worst {worst:.1e}, NLL {nll:.1e}, "
                  f"greedy {same}/{len(prompt['greedy'])}   default: rms {rms:.3f}, NLL {100 * nll8:.2f} %", flush=True)
    os.remove(exact)
    os.remove(fast)


def run(suite, models, vectors):
    print("The top 20 logits after each prompt and its mean negative log-likelihood, against float64")
    for name, figures in FILES.items():
        checkpoint, recorded = os.path.join(models, name), os.path.join(vectors or "", "models", figures)
        for path in (checkpoint, recorded):
            if not os.path.exists(path):
                print(f"skipped: {name}: no {path}")
                break
        else:
            with open(recorded) as file:
                suite.run(name, lambda: compare(suite, checkpoint, name, json.load(file)["prompts"]))
