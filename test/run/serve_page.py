#!/usr/bin/env python3
"""Chats on the server's page in a headless Chromium, by keys alone.

    serve_page.py STEPDOWN_COMPILE STEPDOWN_RUN [MODEL [PICTURES]]

Sends, stops, edits and sends again, changes a setting and the theme, and looks at what the page shows then; anything that the
page asks of another host, or that its console complains of, is a failure. The model is made here unless MODEL names one; the
folder PICTURES gets a screenshot, light and dark. Ends with 77 where Chromium (Debian's package chromium), numpy or gguf is
missing.
"""
import base64, json, os, shutil, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data"))
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
if not BROWSER:
    print("skipped: needs Chromium")
    sys.exit(77)
try:
    import make_model
except ImportError:
    print("skipped: needs the Python packages numpy and gguf")
    sys.exit(77)

COMPILE, RUN = sys.argv[1:3]
MODEL = sys.argv[3] if len(sys.argv) > 3 else None
PICTURES = sys.argv[4] if len(sys.argv) > 4 else None
failures = []


def expect(what, good, got=""):
    if not good:
        failures.append(f"{what}: {str(got)[:300]}")


class Browser:
    """Chromium by its DevTools protocol: JSON with a zero byte behind, on two pipes."""

    def __init__(self, folder):
        (down, self.to), (self.of, up) = os.pipe(), os.pipe()

        def pipes():
            os.dup2(down, 3)
            os.dup2(up, 4)
            os.set_inheritable(3, True) # a pipe that had the number already would be closed
            os.set_inheritable(4, True)

        self.process = subprocess.Popen(
            [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe",
             f"--user-data-dir={folder}", "--window-size=1000,800", "about:blank"],
            preexec_fn=pipes, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(down), os.close(up)
        self.rest, self.number, self.session, self.told = b"", 0, None, []
        page = [t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page"][0]
        self.session = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.rest:
                piece = os.read(self.of, 1 << 20)
                if not piece:
                    sys.exit("serve_page: expects Chromium to answer, but it has ended")
                self.rest += piece
            text, self.rest = self.rest.split(b"\0", 1)
            reply = json.loads(text)
            if reply.get("id") == self.number:
                if "error" in reply:
                    sys.exit(f"serve_page: {method}: {reply['error']}")
                return reply["result"]
            self.told.append(reply)

    def value(self, code):
        done = self.call("Runtime.evaluate", expression=code, returnByValue=True)
        expect(code, "exceptionDetails" not in done, done)
        return done["result"].get("value")

    def wait(self, code, seconds=60):
        end = time.time() + seconds
        while time.time() < end:
            if self.value(code):
                return True
            time.sleep(0.05)
        expect("wait for", False, (code, self.value("document.body.innerText")))
        return False

    def type(self, text):
        self.call("Input.insertText", text=text)

    def key(self, key, code=None, modifiers=0, number=0):
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=code or key, modifiers=modifiers,
                      windowsVirtualKeyCode=number)

    def picture(self, name):
        if PICTURES:
            with open(os.path.join(PICTURES, name), "wb") as file:
                file.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


ALT, SHIFT = 1, 8
IDLE = "document.getElementById('stopped').hidden && document.querySelectorAll('article.assistant .note').length > 0"
ANSWERS = "[...document.querySelectorAll('article.assistant .text')].map(e => e.textContent)"
SAID = "[...document.querySelectorAll('article.user .text')].map(e => e.textContent)"

# From here on the page asks for answers that no end-of-text token ends: made weights draw one at any time.
UNENDING = """{ const ask = fetch;
  window.fetch = (url, how) => ask(url, how && how.body
    ? { ...how, body: JSON.stringify({ ...JSON.parse(how.body), ignore_eos: true }) } : how); }"""


def chat(browser, url):
    browser.call("Page.navigate", url=url)
    browser.wait("document.readyState === 'complete' && document.getElementById('model').value !== ''")
    expect("focus", browser.value("document.activeElement.id") == "said", browser.value("document.activeElement.id"))
    # A setting by keys: the likeliest tokens, and few of them.
    browser.key("s", "KeyS", ALT, 83)
    expect("settings", not browser.value("document.getElementById('settings').hidden"))
    for name, value in (("temperature", "0"), ("max_tokens", "24")):
        browser.value(f"document.getElementById('{name}').select()")
        browser.value(f"document.getElementById('{name}').focus()")
        browser.type(value)
    browser.key("Escape", number=27)
    expect("back", browser.value("document.activeElement.id") == "said")
    browser.type("Name three <b>colours</b>.")
    browser.key("Enter", number=13)
    browser.wait(IDLE)
    first = browser.value(ANSWERS)
    expect("an answer", len(first) == 1 and first[0], browser.value("document.body.innerText"))
    expect("text is no markup", browser.value(SAID) == ["Name three <b>colours</b>."], browser.value(SAID))
    browser.picture("light.png")
    browser.key("d", "KeyD", ALT, 68)
    expect("theme", browser.value("document.documentElement.dataset.theme") == "dark")
    browser.picture("dark.png")
    browser.key("d", "KeyD", ALT, 68)
    # What was said last, edited: the likeliest answer to the same is the same.
    browser.key("ArrowUp", modifiers=ALT, number=38)
    expect("edit", browser.value("document.getElementById('said').value") == "Name three <b>colours</b>.")
    browser.key("Enter", number=13)
    browser.wait(IDLE)
    expect("resent", browser.value(ANSWERS) == first, (browser.value(ANSWERS), first))
    browser.type("And then?")
    browser.key("Enter", number=13)
    browser.wait(f"({ANSWERS}).length === 2 && {IDLE}")
    expect("a second turn", browser.value(SAID)[1:] == ["And then?"], browser.value(SAID))
    # A long answer that is stopped.
    browser.key("n", "KeyN", ALT, 78)
    expect("a new conversation", browser.value("document.querySelectorAll('article').length") == 0)
    browser.value("document.getElementById('max_tokens').value = ''")
    browser.value("document.getElementById('temperature').value = '1'")
    browser.value(UNENDING)
    browser.type("Tell me a long story.")
    browser.key("Enter", number=13)
    browser.wait("!document.getElementById('stopped').hidden")
    browser.key("Escape", number=27)
    browser.wait(IDLE)


def main():
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as base:
        artifact = MODEL
        if not artifact:
            made, artifact = os.path.join(base, "made.gguf"), os.path.join(base, "tiny.stepdown")
            make_model.build(made, "--type", "Q8_0", "--context", "6000")
            subprocess.run([COMPILE, made, "-o", artifact], check=True, capture_output=True)
        server = subprocess.Popen([RUN, "serve", artifact, "--port", "0", "--grace", "0"], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True)
        url = server.stdout.readline().split()[-1]
        browser = Browser(os.path.join(base, "profile"))
        try:
            chat(browser, url + "/")
        finally:
            browser.process.kill()
            browser.process.wait()
            server.terminate()
        expect("the server ends", server.wait(60) == 0)
        for event in browser.told:
            if event["method"] == "Network.requestWillBeSent":
                expect("asks", event["params"]["request"]["url"].startswith(url + "/"), event["params"]["request"]["url"])
            expect("console", event["method"] != "Runtime.exceptionThrown", event)
            if event["method"] == "Log.entryAdded" and "favicon" not in json.dumps(event):
                expect("log", event["params"]["entry"]["level"] != "error", event["params"]["entry"])
    print("\n".join(failures) or "serve_page: sends, stops, edits and sends again, by keys alone")
    sys.exit(1 if failures else 0)


main()
