"""Reads NVIDIA machine code as nvdisasm prints it: the loop that multiplies, and what lies in it, in order."""
import re

_PREDICATE = re.compile(r"^@!?U?P\w+\s+")


def functions(text):
    """What `nvdisasm -c` prints -> {function: [("label", name) | ("instruction", text)]}."""
    current, result = None, {}
    for line in text.splitlines():
        section = re.match(r"\s*\.section\s+\.text\.(\S+?),", line) or re.match(r"//-+ \.text\.(\S+)", line)
        if section:
            current = result.setdefault(section.group(1), [])
            continue
        if current is None:
            continue
        label = re.match(r"\s*(\.L_x_\d+):", line)
        if label:
            current.append(("label", label.group(1)))
            continue
        instruction = re.search(r"/\*[0-9a-f]{4,5}\*/\s+(.*?);", line)
        if instruction:
            current.append(("instruction", instruction.group(1).strip()))
    return result


def opcode(instruction):
    return _PREDICATE.sub("", instruction).split()[0]


def is_product(instruction):
    return bool(re.match(r"(HGMMA|QGMMA|IGMMA|HMMA|IMMA|QMMA)\b", opcode(instruction)))


def _loops(code):
    """The instructions, and every backward branch's body that multiplies, as ranges of them, the shortest first. Retries of
    a wait lie behind the function's end and jump back into its middle: what spans an EXIT is no loop."""
    labels, sequence, found = {}, [], []
    for kind, value in code:
        if kind == "label":
            labels[value] = len(sequence)
        else:
            sequence.append(value)
    for at, instruction in enumerate(sequence):
        branch = re.search(r"\bBRA\b.*?`\((\.L_x_\d+)\)", instruction)
        if branch and labels.get(branch.group(1), at + 1) <= at:
            body = sequence[labels[branch.group(1)] : at + 1]
            if any(map(is_product, body)) and "EXIT" not in body:
                found.append(range(labels[branch.group(1)], at + 1))
    return sequence, sorted(found, key=len)


def loops(code):
    """Their bodies, [instructions]."""
    sequence, found = _loops(code)
    return [sequence[body.start : body.stop] for body in found]


def steady_loop(code):
    """Of the loops that multiply and have no such loop in them that with the fewest instructions for each product, or None:
    of a kernel with several (masked blocks, then whole ones) that which most turns go through."""
    sequence, found = _loops(code)
    inside = lambda one, other: one != other and one.start >= other.start and one.stop <= other.stop
    inner = [sequence[body.start : body.stop] for body in found if not any(inside(other, body) for other in found)]
    return min(inner, key=lambda body: len(body) / sum(map(is_product, body)), default=None)


def _event(instruction):
    name = opcode(instruction)
    if is_product(instruction):
        return "product"
    if name == "MUFU.EX2":
        return "exp"
    if name.startswith("WARPGROUP.DEPBAR"):
        pending = re.search(r"gsb0, (0x[0-9a-f]+)", instruction)
        return "wait<%d>" % (int(pending.group(1), 16) if pending else 0)
    if name.startswith("WARPGROUP.ARRIVE"):
        return "fence"
    if name.startswith("SYNCS.PHASECHK"):
        return "mbarrier-wait"
    if name.startswith("SYNCS"):
        return "mbarrier-arrive"
    if name.startswith("BAR"):
        return "barrier"
    if name.startswith("UTMALDG") or name.startswith("UBLKCP"):
        return "tma"
    return None


def order(body):
    """The order of products, waits, exponentials and barriers: [(event, how many in a row)]."""
    events = []
    for event in filter(None, map(_event, body)):
        if events and events[-1][0] == event:
            events[-1] = (event, events[-1][1] + 1)
        else:
            events.append((event, 1))
    return events


def overlapped(body):
    """(exponentials between a wait that leaves groups in flight and the next for all, exponentials): what a schedule
    that computes under running products keeps of its intent."""
    between = inside = every = 0
    for event in filter(None, map(_event, body)):
        if event == "exp":
            every += 1
            between += inside
        elif event.startswith("wait<"):
            inside = int(event != "wait<0>")
    return between, every


def summary(code):
    """The steady loop in numbers, or None where none multiplies."""
    body = steady_loop(code)
    if body is None:
        return None
    events = [event for event in map(_event, body) if event]
    products = events.count("product")
    between, every = overlapped(body)
    everywhere = [value for kind, value in code if kind == "instruction"]
    return {
        "instructions": len(body),
        "products": products,
        "per product": len(body) / products,
        "waits": sum(event.startswith("wait<") for event in events),
        "fences": events.count("fence"),
        "barriers": sum(event in ("barrier", "mbarrier-wait", "mbarrier-arrive") for event in events),
        "exponentials": every,
        "between waits": between,
        "spills": sum(bool(re.match(r"(LDL|STL)\b", opcode(value))) for value in everywhere),
        "order": " ".join(event if count == 1 else f"{event}x{count}" for event, count in order(body)),
    }
