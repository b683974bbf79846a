"""Builds the wheel of the package `stepdown` (PEP 517): pure Python, so that no tool has to be fetched for it.

With STEPDOWN_BUNDLE=/path/to/libstepdown.so the library is put beside the package, for a wheel that needs no install tree.
"""
import base64
import hashlib
import os
import re
import tarfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "stepdown", "__init__.py"), encoding="utf-8") as file:
    VERSION = re.search(r'__version__ = "(.+)"', file.read()).group(1)
METADATA = f"""Metadata-Version: 2.1
Name: stepdown
Version: {VERSION}
Summary: Runs transformer models that stepdown-compile wrote
Requires-Python: >=3.9
Requires-Dist: numpy
"""


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Writes the wheel into `wheel_directory` and returns its name."""
    bundle = os.environ.get("STEPDOWN_BUNDLE")
    tag = "py3-none-linux_x86_64" if bundle else "py3-none-any"
    info = f"stepdown-{VERSION}.dist-info"
    entries = {}
    package = os.path.join(HERE, "stepdown")
    for name in sorted(os.listdir(package)):
        if name.endswith((".py", ".typed")):
            with open(os.path.join(package, name), "rb") as source:
                entries[f"stepdown/{name}"] = source.read()
    if bundle:
        with open(bundle, "rb") as source:
            entries["stepdown/libstepdown.so.0"] = source.read()
    entries[f"{info}/METADATA"] = METADATA.encode()
    pure = "false" if bundle else "true"
    entries[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: stepdown_build\nRoot-Is-Purelib: {pure}\nTag: {tag}\n".encode()
    record = ""
    for path, data in entries.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(data)}\n"
    entries[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    wheel = f"stepdown-{VERSION}-{tag}.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, wheel), "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in entries.items():
            archive.writestr(path, data)
    return wheel


def build_sdist(sdist_directory, config_settings=None):
    """Writes the sources into `sdist_directory` and returns the archive's name."""
    root = f"stepdown-{VERSION}"
    with tarfile.open(os.path.join(sdist_directory, f"{root}.tar.gz"), "w:gz") as archive:
        for name in ("pyproject.toml", "stepdown_build.py", "stepdown"):
            archive.add(os.path.join(HERE, name), f"{root}/{name}",
                        filter=lambda entry: None if "__pycache__" in entry.name else entry)
        metadata = os.path.join(sdist_directory, "PKG-INFO")
        with open(metadata, "w", encoding="utf-8") as out:
            out.write(METADATA)
        archive.add(metadata, f"{root}/PKG-INFO")
        os.unlink(metadata)
    return f"{root}.tar.gz"
