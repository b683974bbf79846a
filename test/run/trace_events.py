"""Reads a trace of the "Trace Event Format" of Chrome, JSON Array Format, as strictly as Perfetto's reader at most.

    spans = trace_events.read("trace.json")          # [Span], by process, track and time
    trace_events.names("trace.json")                 # {(process, track): name}, {process: name}

Refused (ValueError): what is no array of objects, events of other phases than B, E, X and M, members that are missing
or of another type, times below nothing, an end without a beginning, a beginning without an end, spans of a track that
overlap without lying within each other, and metadata that names something twice. Times are whole nanoseconds.
"""
import collections, json
from decimal import Decimal

Span = collections.namedtuple("Span", "process track name begin end depth arguments")


def nanoseconds(event, member):
    value = event.get(member)
    if not isinstance(value, Decimal) or value < 0:
        raise ValueError(f"expects a time as {member}, but got {event}")
    return int(value * 1000)


def events(path):
    with open(path) as file:
        every = json.load(file, parse_float=Decimal, parse_int=int)
    if not isinstance(every, list):
        raise ValueError("expects an array of events")
    for event in every:
        if not isinstance(event, dict) or event.get("ph") not in ("B", "E", "X", "M"):
            raise ValueError(f"expects an event of phase B, E, X or M, but got {event}")
        for member, kind in (("pid", int), ("tid", int), *((("name", str),) if event["ph"] != "E" else ())):
            if not isinstance(event.get(member), kind):
                raise ValueError(f"expects {member} of type {kind.__name__}, but got {event}")
        if not isinstance(event.get("args", {}), dict):
            raise ValueError(f"expects args to be an object, but got {event}")
    return every


def names(path):
    tracks, processes = {}, {}
    for event in events(path):
        if event["ph"] != "M":
            continue
        where, key = {"process_name": (processes, event["pid"]), "thread_name": (tracks, (event["pid"], event["tid"]))}[event["name"]]
        if key in where:
            raise ValueError(f"expects one name of {key}, but got {event}")
        where[key] = event["args"]["name"]
    return tracks, processes


def read(path):
    tracks = collections.defaultdict(list)
    for event in events(path):
        if event["ph"] != "M":
            tracks[event["pid"], event["tid"]].append(event)
    spans = []
    for (process, track), own in tracks.items():
        whole, opened = [], []
        for event in own:
            at = nanoseconds(event, "ts")
            if event["ph"] == "X":
                whole.append((at, at + nanoseconds(event, "dur"), event["name"], event.get("args", {})))
            elif event["ph"] == "B":
                opened.append((at, event["name"]))
            elif not opened:
                raise ValueError(f"expects a beginning before {event}")
            else:
                begin, name = opened.pop()
                whole.append((begin, at, name, event.get("args", {})))
        if opened:
            raise ValueError(f"expects an end of {opened} in track {process}, {track}")
        around = []
        for begin, end, name, arguments in sorted(whole, key=lambda s: (s[0], -s[1])):
            while around and around[-1] <= begin:
                around.pop()
            if end < begin or (around and end > around[-1]):
                raise ValueError(f"expects spans within each other or apart, but {name} of {process}, {track} is neither")
            spans.append(Span(process, track, name, begin, end, len(around), arguments))
            around.append(end)
    return sorted(spans)
