"""Asks a running demo's question again with `identity-trail search`, and compares its exit status and its output forms
with what the README promises.

usage: search_check.py IDENTITY_TRAIL DEMO_OUTPUT

DEMO_OUTPUT is a file that holds what `identity-trail demo`, started without --logs, printed.
"""

import csv
import io
import json
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import checks

BINARY = sys.argv[1]
OUTPUT = Path(sys.argv[2]).read_text()
DEADLINE_SECONDS = 120
COMPLETE, FAILED, BAD_USAGE, INCOMPLETE = 0, 1, 2, 3


def printed(pattern):
    found = re.search(pattern, OUTPUT, re.MULTILINE)
    assert found, f"the demo printed no line like {pattern}"
    return found[1]


# The flags only: the command is the binary under test.
QUESTION = shlex.split(printed(r"^\$ (.*)$"))[2:]
RETRY = shlex.split(printed(r"^retry what failed:\n +(.*)$"))[2:]
ENDPOINT = printed(r" --endpoint (\S+)$")
DENIED = RETRY[RETRY.index("--account") + 1]
OWNER = printed(r"^key \w+ belongs to account (\d{12})$")


def search(status, *arguments):
    """What a search prints that ends with `status`."""
    done = subprocess.run(
        [BINARY, "search", *arguments], capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
    )
    assert done.returncode == status, (arguments, done.returncode, done.stderr)
    return done.stdout, done.stderr


def messages(text):
    """The parts of an answer in JSON Lines, after checking that it has the order it promises."""
    answer = [json.loads(line) for line in text.splitlines()]
    assert all(len(message) == 1 for message in answer), answer
    kinds = [next(iter(message)) for message in answer]
    assert kinds[0] == "plan" and kinds.count("plan") == 1, kinds
    assert kinds[-1] == "summary" and kinds.count("summary") == 1, kinds
    return answer


def events(answer):
    return [message["event"] for message in answer if "event" in message]


@checks.check
def a_denied_account_makes_the_answer_incomplete():
    text, told = search(INCOMPLETE, *QUESTION, "--output", "jsonl")
    answer = messages(text)
    assert len(events(answer)) > 10, answer
    assert answer[-1]["summary"]["coverage"]["completeness"] == "COMPLETENESS_INCOMPLETE", answer[-1]
    assert any(DENIED in json.dumps(message["outcome"]) for message in answer if "outcome" in message), text
    assert "INCOMPLETE" in told and DENIED in told, told


@checks.check
def a_readable_account_is_answered_whole():
    assert OWNER != DENIED, OWNER
    text, told = search(COMPLETE, *QUESTION, "--account", OWNER, "--output", "jsonl")
    answer = messages(text)
    assert {event["recipientAccountId"] for event in events(answer)} == {OWNER}, text
    assert answer[-1]["summary"]["coverage"]["completeness"] == "COMPLETENESS_COMPLETE", answer[-1]
    assert "INCOMPLETE" not in told, told


@checks.check
def a_pipe_gets_json_lines():
    plain, _ = search(COMPLETE, *QUESTION, "--account", OWNER)
    assert events(messages(plain)), plain


@checks.check
def csv_has_the_same_events():
    text, _ = search(COMPLETE, *QUESTION, "--account", OWNER, "--output", "csv")
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    as_json, _ = search(COMPLETE, *QUESTION, "--account", OWNER, "--output", "jsonl")
    assert [row["event_id"] for row in rows] == [event["eventId"] for event in events(messages(as_json))], text
    for row in rows:
        assert None not in row and None not in row.values(), row
        for cell in row.values():
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")), f"a spreadsheet formula: {cell}"


@checks.check
def a_table_says_what_it_covers():
    text, told = search(COMPLETE, *QUESTION, "--account", OWNER, "--output", "table")
    assert "sts:GetCallerIdentity" in text and "COMPLETE: " in text + told, text


@checks.check
def the_line_to_retry_asks_for_what_failed_only():
    _, told = search(INCOMPLETE, *RETRY, "--output", "jsonl")
    assert DENIED in told, told


@checks.check
def a_search_is_explained_before_it_is_run():
    text, _ = search(COMPLETE, *QUESTION, "--explain", "--output", "jsonl")
    scans = [group for page in text.splitlines() for group in json.loads(page).get("scans", [])]
    asked = {key for group in scans for key in ("lookups", "sql") if key in group}
    assert asked == {"lookups", "sql"}, text


@checks.check
def a_saved_answer_is_what_its_sums_say():
    with tempfile.TemporaryDirectory() as place:
        saved = Path(place) / "case"
        search(COMPLETE, *QUESTION, "--account", OWNER, "--save", str(saved))
        subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=saved, check=True, capture_output=True)
        search(BAD_USAGE, *QUESTION, "--save", str(saved))


@checks.check
def bad_usage_is_told_from_failure():
    for arguments in (
        ["--endpoint", ENDPOINT],
        ["--user", "a", "--since", "bogus", "--endpoint", ENDPOINT],
        ["--user", "a", "--no-such-flag"],
        [*QUESTION, "--account", "12345"],
        ["--since", "3d", "--endpoint", "http://127.0.0.1:1"],
    ):
        text, told = search(BAD_USAGE, *arguments)
        assert text == "" and told, (arguments, text)
    search(FAILED, "--user", "a", "--endpoint", "http://127.0.0.1:1")


if __name__ == "__main__":
    sys.exit(checks.run())
