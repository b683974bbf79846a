"""What servers of these tests serve: a tiny model made here, whose template tells of functions and their calls.

    artifact = made_server.build(stepdown_compile, folder, "--context", "600")
    process, port = made_server.start(stepdown_run, artifact, "--parallel", "12")
    made_server.figure(port, "stepdown_kv_blocks_used")
"""
import http.client, os, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data"))
try:
    import gguf_edit
    import make_model
except ImportError:
    print("skipped: needs the Python packages numpy and gguf")
    sys.exit(77)

# Calls of functions in the form of Hermes and Qwen, which is that of most models.
TEMPLATE = """{% for t in tools or [] %}{{ t | tojson }}
{% endfor %}{% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}{% for c in m.tool_calls or [] %}
<tool_call>
{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
LOOK = {"type": "object", "properties": {"at": {"enum": ["the sky", "the sea"]}, "deep": {"type": "boolean"}},
        "required": ["at", "deep"], "additionalProperties": False}
TOOLS = [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": LOOK}},
         {"type": "function", "function": {"name": "wait"}}]


def build(compiler, folder, *options):
    """The path of the artifact; options are those of make_model.py."""
    model, artifact = os.path.join(folder, "made.gguf"), os.path.join(folder, "tiny.stepdown")
    make_model.build(model, "--type", "Q8_0", *options)
    gguf_edit.read(model).set("tokenizer.chat_template", "string", TEMPLATE).write(model)
    subprocess.run([compiler, model, "-o", artifact], check=True, capture_output=True)
    return artifact


def start(run, artifact, *words, **how):
    """(the process, its port), once it listens."""
    process = subprocess.Popen([run, "serve", artifact, "--port", "0", "-t", "1", *words], stdout=subprocess.PIPE, text=True, **how)
    line = process.stdout.readline()
    if not line.startswith("listening on http://"):
        sys.exit(f"expects a line that tells where the server listens, but got {line!r}")
    return process, int(line.rsplit(":", 1)[1])


def ask(port, body=None, path="/v1/completions", headers=None):
    """(status, text) of a POST, or of a GET without a body."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    link.request("POST" if body else "GET", path, body, {"Content-Type": "application/json", **(headers or {})})
    reply = link.getresponse()
    text = reply.read().decode()
    link.close()
    return reply.status, text


def figure(port, name):
    """Of /metrics: the first that has the name."""
    for line in ask(port, path="/metrics")[1].splitlines():
        if line.startswith(name + "{") or line.startswith(name + " "):
            return float(line.rsplit(" ", 1)[1])
    return None
