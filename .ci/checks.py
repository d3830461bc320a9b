"""What the checks in this folder share: a runner, the log files, and what a server printed."""

import gzip
import json
import re
import shlex
import traceback
from datetime import datetime
from pathlib import Path

_CHECKS = []


def check(function):
    """Registers a check: a function without arguments that asserts."""
    _CHECKS.append(function)
    return function


def run():
    """Runs every check, prints one line for each and the sum, and gives the exit status."""
    failed = 0
    for function in _CHECKS:
        name = function.__name__.replace("_", " ")
        try:
            function()
            print(f"ok      {name}", flush=True)
        except Exception:
            failed += 1
            print(f"FAILED  {name}\n{traceback.format_exc()}", flush=True)
    passed = len(_CHECKS) - failed
    print(f"{passed} passed, {failed} failed", flush=True)
    return 0 if passed and not failed else 1


def exports(path):
    """The variables of the `export NAME=VALUE` lines in a file."""
    found = re.findall(r"^\s*export (\w+)=(.*)$", Path(path).read_text(), re.MULTILINE)
    return {name: shlex.split(value)[0] for name, value in found}


def records(folder):
    """Every record of the CloudTrail log files below a folder."""
    files = sorted(Path(folder).rglob("*.json.gz"))
    found = [record for file in files for record in json.loads(gzip.decompress(file.read_bytes()))["Records"]]
    assert found, f"no records below {folder}"
    return found


def json_of(text):
    return json.loads(text)


def time(text):
    """An eventTime."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
