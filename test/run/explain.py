#!/usr/bin/env python3
"""Checks stepdown-compile --explain against what can be worked out without it.

    explain.py STEPDOWN_COMPILE STEPDOWN_RUN LIBSTEPDOWN

Edges are counted in the text of --compile-to=transformer after -hoist-select-rows, fused ones in that of --compile-to=fusion; weights, caches and
traffic follow from the options of the made checkpoint; the runtime says what it allocates. Ends with 77, which ctest
takes for skipped, where the Python packages numpy and gguf are missing.
"""
import collections, json, os, re, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data"))
try:
    import make_model
except ImportError:
    print("skipped: needs the Python packages numpy and gguf")
    sys.exit(77)

COMPILE, RUN, os.environ["STEPDOWN_LIBRARY"] = sys.argv[1:]
OPT = os.path.join(os.path.dirname(COMPILE), "stepdown-opt")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))
sys.dont_write_bytecode = True
import stepdown

NOT_COMPUTED = {"weight", "rope_table", "kernel", "yield", "quantize"}
failures = []


def expect(what, got, expected):
    if got != expected:
        failures.append(f"{what}: expects {expected}, but got {got}")


def output(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: status {done.returncode}: {done.stderr}")
    return done.stdout


def edges_of(text, within_kernels):
    """(producer, consumer) of each use of a result in the printed module, as a multiset."""
    found, sources = collections.Counter(), {}
    function, inside = None, False
    for line in text.splitlines():
        if "func.func" in line:
            function, sources = re.search(r"@(\w+)", line).group(1), {}
            if not within_kernels and function != "step":
                sources["%arg0"] = "layers"
            continue
        operation = re.search(r"transformer\.(\w+)", line.split(" : ")[0])
        if "transformer.kernel" in line:
            inside, sources = within_kernels, {}
            continue
        if not operation or (within_kernels and not inside):
            continue
        name = operation.group(1)
        left, right = line.split("=", 1) if re.match(r"\s*%[\w:]+ = ", line) else ("", line)
        if name == "yield":
            inside = False
            continue
        for used in re.findall(r"%\w+", right.split(" : ")[0]):
            if used in sources and name not in NOT_COMPUTED:
                found[sources[used], name] += 1
            if used in sources and name == "quantize":  # what reads the blocks reads the producer
                sources[left.strip()] = sources[used]
        if left and name not in NOT_COMPUTED:
            sources[left.strip()] = name
    return found


def pair(edge):
    return edge["producer"]["op"], edge["consumer"]["op"]


def padded(value, unit):
    return -(-value // unit) * unit


def check(folder, family, options, o):
    model, artifact = os.path.join(folder, family + ".gguf"), os.path.join(folder, family + ".stepdown")
    make_model.build(model, "--family", family, *options)
    before = set(os.listdir(folder))
    text = output(COMPILE, model, "--explain")
    report = json.loads(output(COMPILE, model, "--explain=json"))
    expect(f"{family}: files that --explain leaves", set(os.listdir(folder)), before)

    edges, kernels = report["edges"], {k["id"]: k for k in report["kernels"]}
    written = os.path.join(folder, "transformer.mlir")
    output(COMPILE, model, "--compile-to=transformer", "-o", written)
    frontend = edges_of(output(OPT, written, "-hoist-select-rows"), False)  # the one pass that changes what is computed
    expect(f"{family}: edges", collections.Counter(map(pair, edges)), frontend)
    fusion = output(COMPILE, model, "--compile-to=fusion")
    elements = re.findall(r"transformer\.activation<(\w+)", fusion)
    element = "q8o2" if "q8o2" in elements else elements[0]  # of the feed-forward layers
    fused = edges_of(fusion, True)
    expect(f"{family}: fused edges", collections.Counter(pair(e) for e in edges if e["fused"]), fused)
    for e in edges:
        same = "kernel" in e["producer"] and e["producer"].get("kernel") == e["consumer"].get("kernel")
        expect(f"{family}: {pair(e)} in one function's kernel", e["fused"], same and e["producer"]["op"] != "layers")
        expect(f"{family}: {pair(e)} has a reason", bool(e.get("reason")), not e["fused"])
        if e["fused"]:
            expect(f"{family}: {pair(e)} kernel known", e["kernel"] in kernels, True)
        elif e["reason"] not in text:
            failures.append(f"{family}: the text lacks '{e['reason']}'")
        if "no fusion joins" in e.get("reason", ""):
            failures.append(f"{family}: {pair(e)}: expects a predicate, but got '{e['reason']}'")

    attention = next(e for e in edges if pair(e) == ("attention", "linear"))
    columns = o["heads"] // o["kv_heads"] * o["head_dim"]
    if columns % 32:
        expect(f"{family}: packing of attention", attention["packing"].get("reason"),
               f"the {columns} columns of a cache head's queries are not a multiple of 32")
    else:
        expect(f"{family}: packing of attention", attention["packing"],
               {"kernel": attention["producer"]["kernel"]})

    # Weights: rows in sixteens, vectors in 64 bytes, two rotary tables a base, 64 bytes behind.
    width, ffn, q, kv = o["width"], o["ffn"], o["heads"] * o["head_dim"], o["kv_heads"] * o["head_dim"]
    row = lambda n: n // 32 * 34  # q8_0
    matrix = lambda rows, n: padded(padded(rows, 16) * row(n), 64)
    layer = (matrix(q, width) + 2 * matrix(kv, width) + matrix(width, q) + 2 * matrix(ffn, width) + matrix(width, ffn) +
             o["norms"] * padded(width * 4, 64) + o["head_norms"] * padded(o["head_dim"] * 4, 64))
    pairs = o["head_dim"] // 2
    tables = o["bases"] * (-(-o["context"] // 64) + 64) * 2 * pairs * 4
    weights = matrix(o["vocab"], width) + padded(width * 4, 64) + o["layers"] * layer + tables + 64
    plan = report["memory_plan"]
    expect(f"{family}: weight bytes", plan["weight_bytes"], weights)
    expect(f"{family}: logits", plan["logits_bytes"], 512 * padded(o["vocab"], 16) * 4)  # steps of 512 rows
    expect(f"{family}: logits in the text", re.search(r"logits, up to 512 rows +(\d+)", text).group(1), str(plan["logits_bytes"]))
    group_bytes = [g["kv_bytes_per_token"] for g in plan["cache_groups"]]
    expect(f"{family}: KV bytes a token of each group", sorted(group_bytes),
           sorted(2 * layers * o["kv_heads"] * o["head_dim"] * 2 for layers in o["groups"]))
    expect(f"{family}: KV bytes a token", plan["kv_bytes_per_token"], sum(group_bytes))

    # What the artifact says and what the runtime allocates.
    output(COMPILE, model, "-o", artifact, "--target=x86-64-v3")
    inspected = json.loads(output(RUN, "inspect", artifact, "--json"))
    expect(f"{family}: plan in the provenance", inspected["provenance"]["memory_plan"], plan)
    expect(f"{family}: plan that the artifact holds", inspected["memory_plan"],
           {"weight_bytes": plan["weight_bytes"], "activation_bytes": plan["activation_bytes"], "logits_bytes": plan["logits_bytes"],
            "kv_bytes_per_position": plan["kv_bytes_per_token"]})
    check_session(family, inspected["targets"][0], plan)
    check_runtime(family, artifact, plan)
    check_traffic(family, edges, kernels, element, o)


def check_session(what, target, plan):
    """What a session of no options takes, as the runtime counts it, which DeviceModelTest compares with what it allocates."""
    session = target["session_bytes"]
    expect(f"{what}: weights of the target", target["weight_bytes"], plan["weight_bytes"])
    for ours, theirs in (("activations", "activation"), ("logits", "logits"), ("inputs", "input"), ("operands", "operand")):
        expect(f"{what}: {ours} of a session", session[ours], plan[f"{theirs}_bytes"])


def check_runtime(family, artifact, plan):
    try:
        model = stepdown.Model(artifact)
        session = model.session(threads=1, kv_block=16, kv_positions=256, max_sequences=1)
    except stepdown.Error as error:
        failures.append(f"{family}: cannot run: {error}")
        return
    expect(f"{family}: weights of the runtime", model.weight_bytes, plan["weight_bytes"])
    expect(f"{family}: arena of the runtime", model.arena_bytes, plan["activation_bytes"])
    expect(f"{family}: KV of the runtime", model.kv_bytes_per_position, plan["kv_bytes_per_token"])
    expect(f"{family}: KV bytes allocated", session.kv_bytes, plan["kv_bytes_per_token"] * session.kv_positions)


def check_traffic(family, edges, kernels, element, o):
    def kernel_of(op, name):
        ends = [end for e in edges for end in (e["producer"], e["consumer"])]
        return kernels[next(end["kernel"] for end in ends if end["op"] == op and end["name"].endswith(name))]

    length = min(512, o["context"])
    down = kernel_of("linear", "ffn_down")
    bytes_of = {"q8": 20 + 32, "q8o2": 20 + 32 + 16, "q8x2": 28 + 64}  # a scale, two sums, and two of each plane of codes before them
    codes = 1 if element == "q8" else 2  # of a value of attention's result
    q8 = o["ffn"] // 32 * bytes_of[element]
    for key, tokens in (("one_token", 1), ("prompt", length)):
        expect(f"{family}: ffn_down, {tokens} tokens", {k: down[key][k] for k in ("bytes_read", "bytes_written", "operations")},
               {"bytes_read": o["width"] * (o["ffn"] // 32 * 34) + tokens * q8, "bytes_written": tokens * o["width"] * 4,
                "operations": tokens * 2 * o["ffn"] * o["width"]})
        attention = [k for k in kernels.values() if k["label"] == "attention"]
        scores = 2 * (o["head_dim"] + o["head_dim"]) + 4
        quantize = 3 * codes * o["heads"] * o["head_dim"] * tokens if (o["heads"] // o["kv_heads"] * o["head_dim"]) % 32 == 0 else 0
        expected = set()
        for window in o["windows"]:
            positions = range(length - tokens, length)
            pairs = sum(min(p + 1, window) if window else p + 1 for p in positions)
            expected.add(o["heads"] * pairs * scores + quantize)
        expected.add(o["heads"] * pairs * scores)  # of the last layer, of which rows are selected before they are packed
        expect(f"{family}: operations of attention, {tokens} tokens", {k[key]["operations"] for k in attention}, expected)
        head = next(k for k in kernels.values() if k["label"] == "logits")
        expect(f"{family}: rows of the head, {tokens} tokens", head[key]["tokens"], 1)
    expect(f"{family}: dispatches of layers", sum(k["times"] for k in kernels.values() if k["label"] == "attention"), o["layers"])


def predicted(traffic, threads, m):
    """Seconds and bound of a launch, as docs/decisions/predicted-times.md has them."""
    if not traffic["busy_groups"]:
        return 0, "launch"
    units = min(traffic["busy_groups"], m["units"])
    unit_rate = units * m["unit_bytes_per_clock"] * m["hertz"]
    lanes = m["float32_per_second"] / (2 * m["hertz"] * m["units"])
    resident = min(1, threads * traffic["busy_groups"] / (units * lanes))
    moved = traffic["bytes_read"] + traffic["bytes_written"]
    bounds = {"memory": moved / min(m["bytes_per_second"], unit_rate), "cache": traffic["asked_of_cache"] / unit_rate,
              "operations": traffic["operations"] / (m["float32_per_second"] * units / m["units"] * resident),
              "products": traffic["products"] / (m["products_per_second"] * units / m["units"]),
              "chain": traffic["chain"] * m["clocks_of_a_sum"] / m["hertz"]}
    longest = max(bounds, key=bounds.get)
    return m["launch_seconds"] + bounds[longest], longest if bounds[longest] >= m["launch_seconds"] else "launch"


def near(what, got, expected, relative=1e-9):
    if abs(got - expected) > relative * abs(expected):
        failures.append(f"{what}: expects {expected}, but got {got}")


def check_device(folder, chip):
    """What --explain tells of dispatches: one worked out by hand, and all of them against the facts that it prints."""
    model = os.path.join(folder, "device.gguf")
    make_model.build(model, "--family", "llama", "--type", "Q8_0", "--heads", "4", "--kv-heads", "2", "--layers", "3")
    report = json.loads(output(COMPILE, model, "--explain=json", f"--target={chip}"))
    text = output(COMPILE, model, "--explain", f"--target={chip}")
    expect(f"{chip}: devices", [d["device"] for d in report["devices"]], [chip])
    artifact = os.path.join(folder, "device.stepdown")
    output(COMPILE, model, "-o", artifact, f"--target={chip}")
    check_session(chip, json.loads(output(RUN, "inspect", artifact, "--json"))["targets"][0], report["memory_plan"])
    device = report["devices"][0]
    expect(f"{chip}: measured", device["measured"], None)
    for part in ("nothing was measured", "A step, predicted", "of a graph", "never"):
        if part not in text:
            failures.append(f"{chip}: the text lacks '{part}'")
    packing = output(COMPILE, model, "--compile-to=packing", f"--target={chip}")
    expect(f"{chip}: dispatches", [d["kernel"] for d in device["dispatches"]], re.findall(r"transformer\.dispatch @(\w+)\(", packing))
    for d in device["dispatches"]:
        expect(f"{chip}: {d['kernel']} in the text", d["kernel"] in text, True)
        expect(f"{chip}: {d['kernel']} known", d["whole_operands"], False)
        expect(f"{chip}: {d['kernel']} times", d["times"], {"layer": 2, "layer_last": 1, "step": 1}[d["function"]])

    # ffn_down: 64 rows of 128 columns in Q8_0, by blocks of 32 rows and four warps, each with 32 columns, which are joined and added to a
    # residual, 512 tokens, worked out by hand. Both blocks read the token's columns.
    exact = json.loads(output(COMPILE, model, "--explain=json", "--exact", f"--target={chip}"))["devices"][0]
    down = [d for d in exact["dispatches"] if d["function"] == "layer" and d["kernel"].startswith("residual_linear")][-1]
    for key, tokens in (("one_token", 1), ("prompt", 512)):
        t = down[key]
        expect(f"{chip}: ffn_down, {tokens} tokens", {k: t[k] for k in (
            "grid", "threads", "variant", "weights_read", "cache_read", "other_read", "other_written", "asked_of_cache", "operations", "chain")}, {
            "grid": [tokens, 2], "threads": 128, "variant": 0, "weights_read": 64 * 4 * 34, "cache_read": 0, "other_read": tokens * (512 + 256), "other_written": tokens * 256,
            "asked_of_cache": tokens * (64 * 4 * 34 + 2 * 512 + 256), "operations": tokens * 64 * (128 * 3 + 3 + 1), "chain": 32})
    # On H100: 9728 bytes by two units of 132, 64 bytes a clock of 1.98 GHz: 38 ns. 24832 operations on 128 lanes of each: 24 ns. 32 sums of
    # 4 clocks: 65 ns, the longest, behind 3 us of launch. Of 512 tokens: 5.1 MB from the cache at 16.7 TB/s: 306 ns.
    for key, seconds in (("one_token", 3.0646e-6), ("prompt", 3.3056e-6)):
        h100 = next(p for p in down[key]["predicted"] if p["machine"] == "H100")
        near(f"{chip}: ffn_down on H100, {key}", h100["seconds"], seconds, 1e-4)
        expect(f"{chip}: ffn_down's bound on H100", h100["bound"], "launch")

    if chip == "emulated:sm_90a":  # the same by tiles of 64 rows and 8 tokens, and of 128 rows and 128 tokens
        tiles = [d for d in device["dispatches"] if d["function"] == "layer" and d["tiles"]][-1]
        expect("columns of ffn_down", tiles["columns"], 64)
        for key, tokens, width, variant in (("one_token", 1, 8, 0), ("prompt", 512, 128, 2)):
            t, turns, x = tiles[key], -(-tokens // width), tokens * (128 * 2 + 4 + 64 * 4)
            expect(f"tiles of ffn_down, {tokens} tokens", {k: t[k] for k in (
                "grid", "threads", "variant", "weights_read", "other_read", "other_written", "asked_of_cache", "products")}, {
                "grid": [1, turns], "threads": 128 + 128 * (variant // 2 + 1), "variant": variant, "weights_read": 64 * 4 * 34, "other_read": x, "other_written": tokens * 256,
                "asked_of_cache": 64 * 4 * 34 * turns + x, "products": 2 * 64 * 128 * width * turns})

    expect(f"{chip}: machines", [m["machine"] for m in device["steps"]], ["A100", "H100", "H200", "MI300X", "RX 7900 XTX"])
    own = {"emulated:sm_90a": ["H100", "H200"], "emulated:gfx942": ["MI300X"]}[chip]
    expect(f"{chip}: machines of this code", [m["machine"] for m in device["steps"] if m["runs_this_code"]], own)
    for m in device["steps"]:
        for key in ("one_token", "prompt"):
            total = 0
            for d in device["dispatches"]:
                seconds, bound = predicted(d[key], d[key]["threads"], m)
                told = next(p for p in d[key]["predicted"] if p["machine"] == m["machine"])
                near(f"{chip}: {d['kernel']} on {m['machine']}, {key}", told["seconds"], seconds)
                expect(f"{chip}: bound of {d['kernel']} on {m['machine']}, {key}", told["bound"], bound)
                total += d["times"] * told["seconds"]
            near(f"{chip}: {key} on {m['machine']}", m[key + "_seconds"], total)
            launches = sum(d["times"] for d in device["dispatches"] if d[key]["groups"])
            near(f"{chip}: {key} on {m['machine']}, replayed", m[key + "_replayed_seconds"],
                 total - launches * (m["launch_seconds"] - m["replay_seconds"]))
    for key in ("one_token", "prompt"):
        expect(f"{chip}: launches, {key}", device["launches"][key], sum(d["times"] for d in device["dispatches"] if d[key]["groups"]))


def check_devices(folder):
    """Of several targets each device has its dispatches, and the processor none."""
    model = os.path.join(folder, "device.gguf")
    report = json.loads(output(COMPILE, model, "--explain=json", "--target=cpu,emulated:sm_90a,emulated:gfx942"))
    alone = json.loads(output(COMPILE, model, "--explain=json"))
    expect("several targets: devices", [d["device"] for d in report["devices"]], ["emulated:sm_90a", "emulated:gfx942"])
    expect("several targets: kernels of the first", report["kernels"], alone["kernels"])
    expect("cpu: devices", "devices" in alone, False)


def main():
    with tempfile.TemporaryDirectory() as folder:
        check(folder, "llama", ["--type", "Q8_0", "--heads", "4", "--kv-heads", "2", "--layers", "3"],
              dict(width=64, ffn=128, heads=4, kv_heads=2, head_dim=16, vocab=389, context=512, layers=3, norms=2,
                   head_norms=0, bases=1, groups=[3], windows=[0]))
        check(folder, "gemma3", ["--type", "Q8_0", "--heads", "3", "--kv-heads", "1", "--head-dim", "32", "--layers", "4",
                                 "--window", "40", "--pattern", "1,0,1,1"],
              dict(width=64, ffn=128, heads=3, kv_heads=1, head_dim=32, vocab=389, context=512, layers=4, norms=4,
                   head_norms=2, bases=2, groups=[3, 1], windows=[0, 40]))
        check(folder, "qwen3", ["--type", "Q8_0", "--heads", "4", "--kv-heads", "4", "--head-dim", "16"],
              dict(width=64, ffn=128, heads=4, kv_heads=4, head_dim=16, vocab=389, context=512, layers=2, norms=2,
                   head_norms=2, bases=1, groups=[2], windows=[0]))
        for chip in ("emulated:sm_90a", "emulated:gfx942"):
            check_device(folder, chip)
        check_devices(folder)
    print("\n".join(failures) or "explain: all as expected")
    sys.exit(1 if failures else 0)


main()
