"""Calls a running demo with grpcurl, as a reader of the README would, and compares the answers with the log files.

usage: grpcurl_check.py GRPCURL ADDRESS CORPUS_SET

ADDRESS is HOST:PORT, CORPUS_SET the folder of log files that the demo was started with.
"""

import json
import subprocess
import sys
from collections import Counter

import checks

GRPCURL, ADDRESS = sys.argv[1:3]
RECORDS = checks.records(sys.argv[3])
ACCOUNT = "123837392027"
SERVICE = "identitytrail.v1.IdentityTrailService"
# All of the set, and within the 90 days before the demo's clock.
INTERVAL = {"startTime": "2023-07-10T00:00:00Z", "endTime": "2023-07-11T00:00:00Z"}
DEADLINE_SECONDS = 60


def grpcurl(*arguments):
    return subprocess.run(
        [GRPCURL, "-plaintext", "-max-time", str(DEADLINE_SECONDS), *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS + 10,
        check=False,
    )


def printed(*arguments):
    done = grpcurl(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def call(method, request, service=SERVICE):
    """The messages of a call that succeeds."""
    text = printed("-d", json.dumps(request), ADDRESS, f"{service}/{method}").strip()
    messages, decoder = [], json.JSONDecoder()
    while text:
        message, end = decoder.raw_decode(text)
        messages.append(message)
        text = text[end:].lstrip()
    return messages


def refused(method, request):
    """The google.rpc.Status of a call that fails."""
    done = grpcurl("-format-error", "-d", json.dumps(request), ADDRESS, f"{SERVICE}/{method}")
    assert done.returncode != 0, f"not refused: {done.stdout}"
    return json.loads(done.stderr[done.stderr.index("{") :])


def detail(status, kind):
    found = [detail for detail in status["details"] if detail["@type"].endswith(f"/google.rpc.{kind}")]
    assert len(found) == 1, status
    return found[0]


def search(identity, **request):
    """The events and the summary of a search, after checking that the stream has the shape it promises."""
    messages = call("SearchEvents", {"identities": [identity], **INTERVAL, **request})
    kinds = [next(iter(message)) for message in messages]
    assert all(len(message) == 1 for message in messages), kinds
    assert kinds[0] == "plan" and kinds.count("plan") == 1, kinds
    assert kinds[-1] == "summary" and kinds.count("summary") == 1, kinds
    return [message["event"] for message in messages if "event" in message], messages[-1]["summary"]


def expect(identity, matches, **request):
    """Searches, and compares with a walk over all records."""
    expected = [record for record in RECORDS if matches(record)]
    assert expected, "the check has nothing to find"
    events, summary = search(identity, **request)
    assert Counter(event["eventId"] for event in events) == Counter(record["eventID"] for record in expected)
    times = [event["eventTime"] for event in events]
    assert times == sorted(times, reverse=True), "not newest first"
    assert summary["coverage"]["completeness"] == "COMPLETENESS_COMPLETE", summary
    assert summary["stopReason"] == "STOP_REASON_END", summary
    assert int(summary["counts"]["eventsSent"]) == len(expected), summary
    return events


@checks.check
def reflection_lists_the_services():
    services = printed(ADDRESS, "list").split()
    assert SERVICE in services and "grpc.health.v1.Health" in services, services
    methods = printed(ADDRESS, "list", SERVICE).split()
    assert {f"{SERVICE}.SearchEvents", f"{SERVICE}.ListAccounts"} <= set(methods), methods


@checks.check
def reflection_describes_a_search():
    text = printed(ADDRESS, "describe", f"{SERVICE}.SearchEvents")
    assert "returns ( stream .identitytrail.v1.SearchEventsResponse )" in text, text
    assert "Identity identities" in printed(ADDRESS, "describe", "identitytrail.v1.SearchEventsRequest")


@checks.check
def health_says_serving():
    for service in ("", SERVICE):
        assert call("Check", {"service": service}, "grpc.health.v1.Health") == [{"status": "SERVING"}], service


@checks.check
def accounts_are_listed():
    (answer,) = call("ListAccounts", {})
    accounts = {account["accountId"]: account for account in answer["accounts"]}
    assert ACCOUNT in accounts, answer
    assert accounts[ACCOUNT]["backends"], answer


@checks.check
def a_user_is_found():
    def matches(record):
        identity = record["userIdentity"]
        return identity.get("type") == "IAMUser" and identity.get("userName") == "benjamin"

    events = expect({"userName": "benjamin"}, matches)
    assert len(events) == 105, len(events)
    for event in events:
        assert event["userIdentity"]["userName"] == "benjamin", event
        assert event["matchedIdentities"] == [{"userName": "benjamin"}], event
        assert event["provenance"]["accountId"] == ACCOUNT, event


@checks.check
def an_access_key_is_found():
    key = "AKIATFQR7NSCUXC3DDDP"
    expect({"accessKeyId": key}, lambda record: record["userIdentity"].get("accessKeyId") == key)


@checks.check
def a_busy_key_is_found_through_each_backend():
    key = "AKIATFQR7NSC8Q4X20BJ"
    for backend in ("BACKEND_EVENT_HISTORY", "BACKEND_ATHENA"):
        events = expect(
            {"accessKeyId": key},
            lambda record: record["userIdentity"].get("accessKeyId") == key,
            backends=[backend],
        )
        assert {event["provenance"]["backend"] for event in events} == {backend}


@checks.check
def a_role_is_found():
    def issuer(record):
        return record["userIdentity"].get("sessionContext", {}).get("sessionIssuer", {})

    roles = Counter(issuer(record)["arn"] for record in RECORDS if issuer(record).get("type") == "Role")
    arn, _ = roles.most_common(1)[0]
    expect({"arn": arn}, lambda record: issuer(record).get("arn") == arn)


@checks.check
def a_search_that_is_cut_off_resumes():
    whole, _ = search({"userName": "benjamin"})
    first, summary = search({"userName": "benjamin"}, maxEvents="40")
    assert summary["limited"] is True and summary["stopReason"] == "STOP_REASON_MAX_EVENTS", summary
    rest, _ = search({"userName": "benjamin"}, resumeToken=summary["resumeToken"])
    assert [event["eventId"] for event in first + rest] == [event["eventId"] for event in whole]


@checks.check
def bad_requests_are_refused_by_field():
    user = [{"userName": "benjamin"}]
    cases = [
        ("identities", {}),
        ("identities[0].user_name", {"identities": [{"userName": "x' OR '1'='1"}]}),
        ("account_ids[0]", {"identities": user, "accountIds": ["12345"]}),
        ("end_time", {"identities": user, "startTime": INTERVAL["endTime"], "endTime": INTERVAL["startTime"]}),
    ]
    for field, request in cases:
        status = refused("SearchEvents", request)
        assert status["code"] == 3, status  # INVALID_ARGUMENT
        violations = detail(status, "BadRequest")["fieldViolations"]
        assert field in [violation["field"] for violation in violations], status
        assert detail(status, "ErrorInfo")["domain"] == "identitytrail.v1", status


@checks.check
def an_account_outside_the_federation_is_not_found():
    status = refused("SearchEvents", {"identities": [{"userName": "benjamin"}], "accountIds": ["999988887777"]})
    assert status["code"] == 5, status  # NOT_FOUND
    assert detail(status, "ErrorInfo"), status


if __name__ == "__main__":
    sys.exit(checks.run())
