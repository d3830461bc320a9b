"""Asks a running demo with `identity-trail check` whether its accounts and its archive are as configured.

usage: accounts_check.py IDENTITY_TRAIL DEMO_OUTPUT

DEMO_OUTPUT is a file that holds what `identity-trail demo`, started without --logs, printed.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import checks

BINARY = sys.argv[1]
OUTPUT = Path(sys.argv[2]).read_text()
DEADLINE_SECONDS = 120
FINE, FAILED, BAD_USAGE, NEEDS_FIX = 0, 1, 2, 3


def printed(pattern):
    found = re.search(pattern, OUTPUT, re.MULTILINE)
    assert found, f"the demo printed no line like {pattern}"
    return found[1]


ENDPOINT = printed(r" --endpoint (\S+)$")
DENIED = printed(r"refused to let the hub assume arn:aws:iam::(\d{12}):")
OWNER = printed(r"^key \w+ belongs to account (\d{12})$")


def check(status, *arguments, endpoint=ENDPOINT):
    """What a check prints that ends with `status`."""
    command = [BINARY, "check", "--endpoint", endpoint, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False)
    assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
    return done.stdout, done.stderr


@checks.check
def a_denied_account_is_to_be_fixed_and_nothing_else():
    text, _ = check(NEEDS_FIX)
    messages = [json.loads(line) for line in text.splitlines()]
    assert [list(message) for message in messages[:-1]] == [["finding"]] * (len(messages) - 1), text
    found = [message["finding"] for message in messages[:-1]]
    to_fix = [finding for finding in found if finding["state"] != "CHECK_STATE_FINE"]
    assert [finding["accountId"] for finding in to_fix] == [DENIED], to_fix
    assert to_fix[0]["reason"]["awsCode"] == "AccessDenied", to_fix
    for policy in to_fix[0]["policies"]:
        assert json.loads(policy["statementJson"])["Action"] == "sts:AssumeRole", policy
    probes = {finding["probe"] for finding in found if finding.get("archive") == "everything"}
    wanted = ("TABLE", "QUERY", "LOG_FILES", "TRAIL", "DECLARATION")
    assert probes == {f"CHECK_PROBE_{name}" for name in wanted}, probes
    summary = messages[-1]["summary"]
    assert (summary["needsFix"], int(summary["fine"])) == ("1", len(found) - 1), summary


@checks.check
def an_account_that_can_be_read_is_fine():
    text, _ = check(FINE, "--account", OWNER, "--output", "table")
    lines = [line for line in text.splitlines() if line]
    assert all(line.startswith("ok ") for line in lines[:-1]), text
    assert lines[-1].startswith("7 fine, 0 to fix"), text


@checks.check
def bad_usage_is_told_from_failure():
    for arguments in (["--account", "12345"], ["--account", "999999999999"], ["--days", "0"], ["--no-such-flag"]):
        text, told = check(BAD_USAGE, *arguments)
        assert text == "" and told, (arguments, text)
    check(FAILED, endpoint="http://127.0.0.1:1")


if __name__ == "__main__":
    sys.exit(checks.run())
