"""What tools/device-check times a model beside: llama.cpp's llama-bench, or else PyTorch (torch-peer.py), in turns with ours."""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

FAILURES = (RuntimeError, ValueError, KeyError, IndexError, OSError)  # of a peer


def called(words, **environment):
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}: status {done.returncode}: {done.stderr.strip()[-600:]}")
    return done.stdout


def words_of(text):
    return re.findall(r"\w+", text)


def shape(programs, checkpoint):
    """What torch-peer.py is told of a model; none of one with experts, with layers of several shapes, or with an MLP that
    is not of a gate, an up and a down of their own."""
    told = json.loads(called([os.path.join(programs, "stepdown-run"), "inspect", "--json", checkpoint]))
    family = told["metadata"]["general.architecture"]
    of = lambda key, other=None: told["metadata"].get(f"{family}.{key}", other)
    heads, width = of("attention.head_count"), of("embedding_length")
    shapes = {tensor["name"]: tensor["shape"] for tensor in told["tensors"]}  # the longest stride first
    found = {"layers": of("block_count"), "width": width, "heads": heads, "kv_heads": of("attention.head_count_kv", heads), "ffn": of("feed_forward_length"),
             "head_dim": of("attention.key_length") or (width // heads if isinstance(heads, int) else None),
             "vocabulary": shapes.get("token_embd.weight", [None])[0]}
    return found if "experts" not in told and "blk.0.ffn_gate.weight" in shapes and all(isinstance(value, int) for value in found.values()) else None


def model_peer(folder):
    """llama.cpp's program that times models, or none."""
    near = os.path.join(os.path.abspath(folder), "llama-bench")
    return os.environ.get("LLAMA_BENCH") or (near if os.path.exists(near) else shutil.which("llama-bench"))


class LlamaBench:
    """llama.cpp's llama-bench, a process a turn."""

    def __init__(self, program, checkpoint, prompt, count):
        self.words = [program, "-m", checkpoint, "-p", prompt, "-n", count, "-r", 1, "-ngl", 99, "-o", "json"]
        self.name = os.path.basename(program)

    def turn(self):
        """{peer: {test: tokens a second}}"""
        told = json.loads(called(self.words))
        if not {"CUDA", "ROCm"} & set(words_of(told[0]["backends"])):
            raise ValueError(f"expects one built with CUDA or HIP, but it has {told[0]['backends'] or 'no backend'}")
        return {self.name: {f"tg{row['n_gen']}" if row["n_gen"] else f"pp{row['n_prompt']}": row["avg_ts"] for row in told}}

    def close(self):
        pass


class TorchPeer:
    """torch-peer.py, a process that waits between turns, since compiling takes it minutes."""

    def __init__(self, words, shape, prompt, count):
        words = [*words, json.dumps(shape), "--prompt", str(prompt), "--tokens", str(count)]
        self.said = tempfile.TemporaryFile("w+", errors="replace")  # a pipe that nobody reads would fill, and stop it
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said, text=True, start_new_session=True)
        try:
            self.name = self.first()
        except BaseException:
            self.close()
            raise

    def first(self):
        found = self.read()
        if not isinstance(found.get("peer"), str):
            raise ValueError(f"expects its name first, but got {found}")
        return found["peer"]

    def read(self):
        """An object of its next line. ValueError: with the last line of stderr where there is none."""
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.said.seek(0)
            said = self.said.read().strip().splitlines()
            raise ValueError(said[-1] if said else f"status {self.process.returncode}")
        try:
            return dict(json.loads(line))
        except (ValueError, TypeError):
            raise ValueError(f"expects a JSON object a line, but got {line.strip()[:200]}") from None

    def turn(self):
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # what it said is read
        return {f"{self.name}, bfloat16, {way}": speeds for way, speeds in self.read().items()}

    def close(self):
        """Ends it, whatever it does: its weights are on the GPU that the next model is timed on."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.said):
            with contextlib.suppress(BrokenPipeError):  # of a turn that was not read
                pipe.close()


def begun(make):
    """(a peer, what its first turn tells); without that it does not go on."""
    peer = make()
    try:
        return peer, peer.turn()
    except BaseException:
        peer.close()
        raise


def peer_of(folder, model, prompt, count):
    """llama-bench with its first turn, or else PyTorch with its. ValueError where there is neither."""
    program, why = model_peer(folder), "no llama-bench"
    if program:
        try:
            return begun(lambda: LlamaBench(program, os.path.join(folder, model["checkpoint"]), prompt, count))
        except FAILURES as said:
            why = f"{os.path.basename(program)}: {said}"
    if not model.get("shape"):
        raise ValueError(f"{why}, and not of a shape that torch-peer.py has")
    words = os.environ["TORCH_PEER"].split() if "TORCH_PEER" in os.environ else [sys.executable, os.path.join(os.path.abspath(folder), "torch-peer.py")]
    try:
        return begun(lambda: TorchPeer(words, model["shape"], prompt, count))
    except FAILURES as said:
        raise ValueError(f"{why}, and {said}") from said


def timed_in_turns(folder, model, plan, own):
    """Tokens a second of each test, ours and the peers': the median of turns in which one runs behind the other."""
    prompt, count, turns = plan["bench"]
    program = os.path.join(os.path.abspath(folder), "stepdown-run")
    ours, others, problem, peer = {}, {}, None, None
    try:
        for _ in range(turns):
            told = json.loads(called([program, "bench", os.path.join(folder, model["artifact"]), "-p", prompt, "-n", count, "-r", 1, "--device",
                                      plan["device"], "--json"], **own))
            for row in told:
                ours.setdefault(row["test"], []).append(row["tokens_per_second"])
            if problem:
                continue
            try:
                if peer:
                    told = peer.turn()
                else:
                    peer, told = peer_of(folder, model, prompt, count)
                for name, speeds in told.items():
                    for test, speed in speeds.items():
                        others.setdefault(name, {}).setdefault(test, []).append(speed)
            except FAILURES as said:
                problem, others = f"{peer.name}: {said}" if peer else str(said), {}
                if peer:
                    peer.close()
    finally:
        if peer:
            peer.close()
    middle = lambda speeds: {test: sorted(each)[len(each) // 2] for test, each in speeds.items()}
    return {"speeds": middle(ours), "no_peer": problem, "peers": {name: middle(speeds) for name, speeds in others.items()}}
