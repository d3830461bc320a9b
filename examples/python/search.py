"""What did this user do? Prints each event once, in order, and says whether that is all.

usage: search.py HOST:PORT USER_NAME START_TIME END_TIME [ACCOUNT_ID…]   (times such as 2026-11-01T00:00:00Z)

Exit status: 0 if the answer is complete, 3 if something is missing from it, 1 if it broke off.
"""

import sys
import time
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).parent / "gen"))
from identitytrail.v1 import identity_trail_pb2 as pb  # noqa: E402
from identitytrail.v1 import identity_trail_pb2_grpc as pb_grpc  # noqa: E402

COMPLETE, BROKEN, INCOMPLETE = 0, 1, 3
# So many broken connections in a row, without a word of the answer between them, are no answer.
ATTEMPTS = 5
# A connection that died quietly is noticed, and a quiet one is not cut by a load balancer.
KEEPALIVE = [("grpc.keepalive_time_ms", 20_000), ("grpc.keepalive_timeout_ms", 10_000)]


def unread(outcomes):
    """What of these outcomes is missing from an answer."""
    # What was handed over has another outcome: of whoever read it instead.
    read = (pb.OUTCOME_STATE_COMPLETE, pb.OUTCOME_STATE_NOT_APPLICABLE, pb.OUTCOME_STATE_HANDED_OVER)
    # A gap that the service's configuration accepts is no surprise; what a drain cut off is asked for again.
    known = (pb.REASON_CODE_ACCEPTED_GAP, pb.REASON_CODE_DRAIN)
    return [it for it in outcomes if it.state not in read and it.reason.code not in known]


def search(service, request):
    """Prints the events; returns the summary, and what was missing from the streams before the last one."""
    missing = []
    attempts = 0
    while True:
        reported = []
        summary = None
        try:
            for response in service.SearchEvents(request):
                item = response.WhichOneof("item")
                if item != "plan":
                    attempts = 0
                # Where to go on from, if this is the last that arrives.
                if item in ("plan", "event", "progress"):
                    request.resume_token = getattr(response, item).resume_token
                if item == "event":
                    event = response.event
                    print(event.event_time.ToJsonString(), event.event_id, event.event_name, sep="\t", flush=True)
                elif item == "outcome":
                    reported += unread(response.outcome.outcomes)
                elif item == "summary":
                    summary = response.summary
        except grpc.RpcError as error:
            attempts += 1
            if error.code() != grpc.StatusCode.UNAVAILABLE or attempts >= ATTEMPTS:
                raise
            # The stream that goes on speaks for the rest only: what failed before stays missing.
            missing += reported
            print(f"resuming after: {error.details()}", file=sys.stderr)
            time.sleep(0.2 * 2**attempts)
            continue
        if summary is None:
            raise EOFError("the stream ended without a summary")
        if summary.stop_reason != pb.STOP_REASON_DRAIN:
            return summary, missing
        # That replica is shutting down: another one goes on.
        missing += reported + unread(summary.coverage.outcomes)
        request.resume_token = summary.resume_token


def main(address, user, start, end, *accounts):
    request = pb.SearchEventsRequest(identities=[pb.Identity(user_name=user)], account_ids=accounts)
    request.start_time.FromJsonString(start)
    request.end_time.FromJsonString(end)
    # Plain text: for a service on loopback. Elsewhere, grpc.secure_channel.
    with grpc.insecure_channel(address, options=KEEPALIVE) as channel:
        try:
            summary, missing = search(pb_grpc.IdentityTrailServiceStub(channel), request)
        except (grpc.RpcError, EOFError) as error:
            print(f"no answer to the end: {error}", file=sys.stderr)
            return BROKEN
    for outcome in missing + unread(summary.coverage.outcomes):
        print(f"missing: {', '.join(outcome.account_ids)}: {outcome.reason.message}", file=sys.stderr)
    whole = (pb.COMPLETENESS_COMPLETE, pb.COMPLETENESS_COMPLETE_EXCEPT_ACCEPTED)
    at_end = summary.stop_reason == pb.STOP_REASON_END
    return COMPLETE if at_end and summary.coverage.completeness in whole and not missing else INCOMPLETE


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
