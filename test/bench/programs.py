"""What the benchmarks of this folder share: one run of each program, programs taking turns, and the row's machine."""
import datetime, json, os, platform, statistics, subprocess, sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def add_options(parser, prompt, generate, rounds):
    """Options of every benchmark, with these defaults."""
    parser.add_argument("--threads", default="1,2", help="thread counts, one row each (default 1,2)")
    parser.add_argument("--prompt", type=int, default=prompt, help=f"tokens of the prompt (default {prompt})")
    parser.add_argument("--generate", type=int, default=generate,
                        help=f"tokens generated after an empty prompt (default {generate})")
    parser.add_argument("--rounds", type=int, default=rounds, help=f"rounds of all programs (default {rounds})")
    parser.add_argument("--isa", help="instruction-set level (default: the best that the processor has)")
    parser.add_argument("--bin", default=os.path.join(ROOT, "build", "bin"), help="folder of the programs (default build/bin)")
    parser.add_argument("--peer", action="append", help="folder of a llama-bench (default build/peer); may be repeated")


def add_places(parser):
    """Where programs and artifacts are, of benchmarks with one peer."""
    parser.add_argument("--artifacts", help="a folder that keeps what is compiled")
    parser.add_argument("--bin", default=os.path.join(ROOT, "build", "bin"))
    parser.add_argument("--peer", default=os.path.join(ROOT, "build", "peer"))


def compiled(options, model, folder):
    """The checkpoint's name and its artifact: the one in --artifacts, or made there, or in `folder`."""
    name = os.path.splitext(os.path.basename(model))[0]
    artifact = os.path.join(options.artifacts or folder, name + ".stepdown")
    if not os.path.exists(artifact):
        run([os.path.join(options.bin, "stepdown-compile"), model, "-o", artifact])
    return name, artifact


def check(options, *programs):
    """Fills in the default peer, and ends where a program is missing."""
    options.peer = options.peer or [os.path.join(ROOT, "build", "peer")]
    programs = [os.path.join(options.bin, name) for name in ("stepdown-compile", "stepdown-run") + programs]
    check_there(programs + [os.path.join(peer, "llama-bench") for peer in options.peer])


def check_there(programs):
    """Ends where one of these paths is no program."""
    for program in programs:
        if not os.access(program, os.X_OK):
            sys.exit(f"bench: expects {program}; tools/quickstart.sh and tools/build-peer.sh build what is missing")


def machine(options):
    """One line: date, processor, load, commit, rounds."""
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE, text=True).stdout.strip()
    return (f"{datetime.date.today()}, {processor()}, load {os.getloadavg()[0]:.1f} when it began; commit {commit or 'unknown'}; "
            f"{options.rounds} rounds")


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"bench: {' '.join(command)}: status {done.returncode}\n{done.stderr}")
    return done.stdout


def ours(options, artifact, threads):
    """{"prefill": tokens per second, "decode": the same} of one run."""
    command = [os.path.join(options.bin, "stepdown-run"), "bench", artifact, "-p", str(options.prompt), "-n",
               str(options.generate), "-t", threads, "-r", "1", "--json"]
    rows = json.loads(run(command + (["--isa", options.isa] if options.isa else [])))
    return {{"pp": "prefill", "tg": "decode"}[row["test"][:2]]: row["tokens_per_second"] for row in rows}


def theirs(options, folder, model, threads):
    """The same for the llama-bench in `folder`, which measures prompt and generation apart as well."""
    rows = json.loads(run([os.path.join(folder, "llama-bench"), "-m", model, "-p", str(options.prompt), "-n",
                           str(options.generate), "-t", threads, "-r", "1", "-o", "json"]))
    return {"decode" if row["n_gen"] else "prefill": row["avg_ts"] for row in rows}


def version(folder):
    """What a peer calls itself: the first line of the file VERSION beside it, else the folder's name."""
    file = os.path.join(folder, "VERSION")
    if not os.path.exists(file):
        return os.path.basename(os.path.abspath(folder))
    with open(file, encoding="utf-8") as lines:
        return lines.readline().strip()


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {len(names)} logical processors"


def take_turns(options, artifacts, model, threads):
    """[program][round] of {"prefill", "decode"}: ours of each artifact first, then the peers; in one order and then the
    other."""
    programs = [lambda artifact=artifact: ours(options, artifact, threads) for artifact in artifacts]
    programs += [lambda folder=folder: theirs(options, folder, model, threads) for folder in options.peer]
    rounds = [[] for _ in programs]
    for turn in range(options.rounds):
        for i in range(len(programs)) if turn % 2 == 0 else reversed(range(len(programs))):
            rounds[i].append(programs[i]())
    return rounds


def compared(rounds, test, artifacts=1):
    """Our median of each artifact and, for each peer, (its median, for each artifact the median of the rounds' ratios)."""
    rates = [[r[test] for r in program] for program in rounds]
    mine, others = rates[:artifacts], rates[artifacts:]
    return [statistics.median(own) for own in mine], [
        (statistics.median(other), [statistics.median(x / y for x, y in zip(own, other)) for own in mine]) for other in others]
