"""Asks a running demo with the clients in examples/, through a proxy that breaks their connections.

usage: examples_check.py IDENTITY_TRAIL DEMO_OUTPUT PYTHON GO_CLIENT JAVA_TARGET

DEMO_OUTPUT is a file that holds what `identity-trail demo`, started without --logs, printed. The clients are built: the
first by examples/python/generate for PYTHON, the second is a binary, of the third JAVA_TARGET is Maven's target folder.
"""

import json
import re
import shlex
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from concurrent import futures
from pathlib import Path

import checks
import grpc

sys.path.insert(0, "examples/python/gen")
from identitytrail.v1 import identity_trail_pb2 as pb  # noqa: E402
from identitytrail.v1 import identity_trail_pb2_grpc as pb_grpc  # noqa: E402

BINARY, OUTPUT, PYTHON, GO, JAVA = sys.argv[1:]
CLIENTS = {
    "Python": [PYTHON, "-B", "examples/python/search.py"],
    "Go": [GO],
    "Java": ["java", "-cp", f"{JAVA}/classes:{JAVA}/lib/*", "Search"],
}
COMPLETE, BROKEN, INCOMPLETE = 0, 1, 3
DEADLINE_SECONDS = 120


def printed(pattern):
    found = re.search(pattern, Path(OUTPUT).read_text(), re.MULTILINE)
    assert found, f"the demo printed no line like {pattern}"
    return found[1]


ENDPOINT = printed(r" --endpoint http://(\S+)$")
RETRY = shlex.split(printed(r"^retry what failed:\n +(.*)$"))
DENIED = RETRY[RETRY.index("--account") + 1]


class Proxy:
    """Passes connections on to the demo. The first ones end after so many bytes of the answer, one number for each: with
    a reset or, where a client `begun` to print is waited for, after that, without one, and with nobody who listens any
    more."""

    def __init__(self, *cuts, begun=None):
        self._cuts = list(cuts)
        self._begun = begun
        self.broken = 0
        self.bytes = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()

    def _accept(self):
        host, port = ENDPOINT.split(":")
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection((host, int(port)))
            cut = self._cuts.pop(0) if self._cuts else None
            if self._begun and not self._cuts:
                self._listener.close()
            threading.Thread(target=self._pump, args=(client, server, None), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, cut), daemon=True).start()

    def _pump(self, source, sink, left):
        try:
            while data := source.recv(4096):
                if left is not None:
                    data = data[:left]
                    left -= len(data)
                sink.sendall(data)
                if left is not None:
                    self.bytes += len(data)
                if left == 0:
                    self.broken += 1
                    if self._begun:
                        # At the end of a connection, clients may forget what has arrived and was not asked for yet.
                        self._begun.wait(DEADLINE_SECONDS)
                        sink.shutdown(socket.SHUT_WR)
                        return
                    break
        except OSError:
            pass
        for end in (source, sink):
            try:
                # With this, closing resets the connection.
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # The other direction was faster.
            end.close()


def ask(client, address, *accounts, begun=None):
    """How a client ends, the events that it prints, and what it says besides. Sets `begun` with the first event."""
    command = [*CLIENTS[client], address, USER, START, END, *accounts]
    with (
        tempfile.TemporaryFile("w+") as told,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=told, text=True) as process,
    ):
        deadline = threading.Timer(DEADLINE_SECONDS, process.kill)
        deadline.start()
        events = []
        for line in process.stdout:
            events.append(line.split("\t")[1])
            if begun:
                begun.set()
        status = process.wait()
        deadline.cancel()
        told.seek(0)
        return status, events, told.read()


def search(*flags):
    """What `identity-trail search` answers."""
    done = subprocess.run(
        [BINARY, "search", "--user", USER, "--endpoint", f"http://{ENDPOINT}", "--output", "jsonl", *flags],
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


# Someone with a few hundred events in one account.
USER = "pat.legacy"
_, ANSWER = search("--since", "60d")
START, END = ANSWER[0]["plan"]["startTime"], ANSWER[0]["plan"]["endTime"]
OWNER = next(message["event"]["recipientAccountId"] for message in ANSWER if "event" in message)
STATUS, ANSWER = search("--since", START, "--until", END, "--account", OWNER)
EVENTS = [message["event"]["eventId"] for message in ANSWER if "event" in message]
assert STATUS == COMPLETE and len(EVENTS) > 30 and OWNER != DENIED, (STATUS, len(EVENTS), OWNER)


@checks.check
def an_answer_is_the_same_over_a_connection_that_breaks():
    for client in CLIENTS:
        with Proxy(10**9) as whole:
            status, events, told = ask(client, whole.address, OWNER)
        assert (status, events) == (COMPLETE, EVENTS), (client, status, told)
        with Proxy(*[whole.bytes // 4] * 3) as cut:
            status, events, told = ask(client, cut.address, OWNER)
        assert cut.broken == 3, (client, cut.broken)
        assert (status, events) == (COMPLETE, EVENTS), (client, status, told)
        assert told.count("resuming after") == 3, (client, told)


@checks.check
def an_incomplete_answer_is_not_taken_for_a_complete_one():
    for client in CLIENTS:
        status, events, told = ask(client, ENDPOINT, OWNER, DENIED)
        assert (status, events) == (INCOMPLETE, EVENTS), (client, status, told)
        assert DENIED in told, (client, told)


@checks.check
def an_answer_that_breaks_off_is_none():
    for client in CLIENTS:
        begun = threading.Event()
        with Proxy(20_000, begun=begun) as cut:
            status, events, told = ask(client, cut.address, OWNER, begun=begun)
        assert status == BROKEN and "no answer to the end" in told, (client, status, told)
        assert 0 < len(events) < len(EVENTS) and events == EVENTS[: len(events)], (client, events)


def event(name):
    return pb.SearchEventsResponse(event=pb.Event(event_id=name, resume_token=name))


def failed(code):
    reason = pb.Reason(code=code, message="somehow")
    return pb.ScanOutcome(state=pb.OUTCOME_STATE_FAILED, account_ids=["111122223333"], reason=reason)


def early(code):
    return pb.SearchEventsResponse(outcome=pb.OutcomeReport(phase=pb.OUTCOME_PHASE_EARLY, outcomes=[failed(code)]))


def summary(stop_reason=pb.STOP_REASON_END, completeness=pb.COMPLETENESS_COMPLETE, token="", outcomes=()):
    coverage = pb.Coverage(completeness=completeness, outcomes=outcomes)
    of_search = pb.SearchSummary(stop_reason=stop_reason, coverage=coverage, resume_token=token)
    return pb.SearchEventsResponse(summary=of_search)


BREAK = grpc.StatusCode.UNAVAILABLE
DEFECT = grpc.StatusCode.INTERNAL
DRAINED = summary(
    pb.STOP_REASON_DRAIN, pb.COMPLETENESS_INCOMPLETE, "after-drain", [failed(pb.REASON_CODE_DRAIN)]
)
# By name: the streams of a service that says what a demo does not on request, the tokens that it should be asked with,
# and how a client should end.
SCRIPTS = {
    "what failed before a break stays missing": (
        [[event("a"), early(pb.REASON_CODE_THROTTLED), BREAK], [event("b"), summary()]], ["", "a"], INCOMPLETE
    ),
    "a drain is no end": ([[event("a"), DRAINED], [event("b"), summary()]], ["", "after-drain"], COMPLETE),
    "no summary, no answer": ([[event("a")]], [""], BROKEN),
    "a defect is not resumed": ([[event("a"), DEFECT]], [""], BROKEN),
    "an end before the end": ([[event("a"), summary(pb.STOP_REASON_DEADLINE)]], [""], INCOMPLETE),
    "an accepted gap": (
        [[event("a"), early(pb.REASON_CODE_ACCEPTED_GAP), BREAK],
         [summary(completeness=pb.COMPLETENESS_COMPLETE_EXCEPT_ACCEPTED)]], ["", "a"], COMPLETE
    ),
    "unspecified is not complete": ([[summary(completeness=pb.COMPLETENESS_UNSPECIFIED)]], [""], INCOMPLETE),
}  # fmt: skip


class Scripted(pb_grpc.IdentityTrailServiceServicer):
    def __init__(self, streams):
        self.streams = list(streams)
        self.tokens = []

    def SearchEvents(self, request, context):
        self.tokens.append(request.resume_token)
        for message in self.streams.pop(0):
            if isinstance(message, grpc.StatusCode):
                context.abort(message, "scripted")
            yield message


@checks.check
def a_client_believes_only_what_it_was_told():
    for name, (streams, tokens, wanted) in SCRIPTS.items():
        for client in CLIENTS:
            server = grpc.server(futures.ThreadPoolExecutor(2))
            service = Scripted(streams)
            pb_grpc.add_IdentityTrailServiceServicer_to_server(service, server)
            port = server.add_insecure_port("127.0.0.1:0")
            server.start()
            status, _, told = ask(client, f"127.0.0.1:{port}")
            server.stop(None)
            assert (status, service.tokens, service.streams) == (wanted, tokens, []), (name, client, status, told)


if __name__ == "__main__":
    sys.exit(checks.run())
