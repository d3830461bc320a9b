import com.google.protobuf.Timestamp;
import identitytrail.v1.Completeness;
import identitytrail.v1.Event;
import identitytrail.v1.Identity;
import identitytrail.v1.IdentityTrailServiceGrpc;
import identitytrail.v1.IdentityTrailServiceGrpc.IdentityTrailServiceBlockingStub;
import identitytrail.v1.OutcomeState;
import identitytrail.v1.ReasonCode;
import identitytrail.v1.ScanOutcome;
import identitytrail.v1.SearchEventsRequest;
import identitytrail.v1.SearchEventsResponse;
import identitytrail.v1.SearchSummary;
import identitytrail.v1.StopReason;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;

/**
 * What did this user do? Prints each event once, in order, and says whether that is all.
 *
 * <p>Search HOST:PORT USER_NAME START_TIME END_TIME [ACCOUNT_ID…], with times such as 2026-11-01T00:00:00Z.
 *
 * <p>Exit status: 0 if the answer is complete, 3 if something is missing from it, 1 if it broke off.
 */
public final class Search {
  private static final int COMPLETE = 0;
  private static final int BROKEN = 1;
  private static final int INCOMPLETE = 3;

  /** So many broken connections in a row, without a word of the answer between them, are no answer. */
  private static final int MAX_ATTEMPTS = 5;

  private static final Set<OutcomeState> READ =
      Set.of(
          OutcomeState.OUTCOME_STATE_COMPLETE,
          OutcomeState.OUTCOME_STATE_NOT_APPLICABLE,
          // Whoever read it instead has an outcome too.
          OutcomeState.OUTCOME_STATE_HANDED_OVER);

  /** A gap that the service's configuration accepts is no surprise; what a drain cut off is asked for again. */
  private static final Set<ReasonCode> KNOWN =
      Set.of(ReasonCode.REASON_CODE_ACCEPTED_GAP, ReasonCode.REASON_CODE_DRAIN);

  private static final Set<Completeness> WHOLE =
      Set.of(
          Completeness.COMPLETENESS_COMPLETE,
          Completeness.COMPLETENESS_COMPLETE_EXCEPT_ACCEPTED);

  private final IdentityTrailServiceBlockingStub service;
  private final SearchEventsRequest.Builder request;

  /** What was missing from the streams before the last one. */
  private final List<ScanOutcome> missing = new ArrayList<>();

  /** What the stream that runs has reported as missing. */
  private final List<ScanOutcome> reported = new ArrayList<>();

  /** Connections that broke since the last word of the answer. */
  private int attempts;

  private Search(IdentityTrailServiceBlockingStub service, SearchEventsRequest.Builder request) {
    this.service = service;
    this.request = request;
  }

  /** What of these outcomes is missing from an answer. */
  private static List<ScanOutcome> unread(List<ScanOutcome> outcomes) {
    return outcomes.stream()
        .filter(it -> !READ.contains(it.getState()) && !KNOWN.contains(it.getReason().getCode()))
        .toList();
  }

  /** Prints the events of one stream, and returns its summary. */
  private SearchSummary stream() {
    reported.clear();
    SearchSummary summary = null;
    Iterator<SearchEventsResponse> responses = service.searchEvents(request.build());
    while (responses.hasNext()) {
      SearchEventsResponse response = responses.next();
      if (!response.hasPlan()) {
        attempts = 0;
      }
      // Each token says where to go on from, if this is the last that arrives.
      switch (response.getItemCase()) {
        case PLAN -> request.setResumeToken(response.getPlan().getResumeToken());
        case PROGRESS -> request.setResumeToken(response.getProgress().getResumeToken());
        case EVENT -> {
          Event event = response.getEvent();
          request.setResumeToken(event.getResumeToken());
          Instant at = Instant.ofEpochSecond(event.getEventTime().getSeconds());
          System.out.printf("%s\t%s\t%s%n", at, event.getEventId(), event.getEventName());
        }
        case OUTCOME -> reported.addAll(unread(response.getOutcome().getOutcomesList()));
        case SUMMARY -> summary = response.getSummary();
        default -> {}
      }
    }
    if (summary == null) {
      throw new IllegalStateException("the stream ended without a summary");
    }
    return summary;
  }

  /** Resumes until there is a summary that nothing follows. */
  private int run() throws InterruptedException {
    while (true) {
      SearchSummary summary;
      try {
        summary = stream();
      } catch (StatusRuntimeException error) {
        attempts++;
        if (error.getStatus().getCode() != Status.Code.UNAVAILABLE || attempts >= MAX_ATTEMPTS) {
          throw error;
        }
        // The stream that goes on speaks for the rest only: what failed before stays missing.
        missing.addAll(reported);
        System.err.println("resuming after: " + error.getStatus());
        Thread.sleep(200L << attempts);
        continue;
      }
      List<ScanOutcome> unread = unread(summary.getCoverage().getOutcomesList());
      if (summary.getStopReason() == StopReason.STOP_REASON_DRAIN) {
        // That replica is shutting down: another one goes on.
        missing.addAll(reported);
        missing.addAll(unread);
        request.setResumeToken(summary.getResumeToken());
        continue;
      }
      boolean whole =
          missing.isEmpty()
              && summary.getStopReason() == StopReason.STOP_REASON_END
              && WHOLE.contains(summary.getCoverage().getCompleteness());
      missing.addAll(unread);
      for (ScanOutcome it : missing) {
        System.err.printf(
            "missing: %s: %s%n", it.getAccountIdsList(), it.getReason().getMessage());
      }
      return whole ? COMPLETE : INCOMPLETE;
    }
  }

  private static Timestamp timestamp(String text) {
    return Timestamp.newBuilder().setSeconds(Instant.parse(text).getEpochSecond()).build();
  }

  public static void main(String[] arguments) throws InterruptedException {
    if (arguments.length < 4) {
      System.err.println("usage: Search HOST:PORT USER_NAME START_TIME END_TIME [ACCOUNT_ID…]");
      System.exit(BROKEN);
    }
    SearchEventsRequest.Builder request =
        SearchEventsRequest.newBuilder()
            .addIdentities(Identity.newBuilder().setUserName(arguments[1]))
            .setStartTime(timestamp(arguments[2]))
            .setEndTime(timestamp(arguments[3]))
            .addAllAccountIds(List.of(arguments).subList(4, arguments.length));
    // Plain text: for a service on loopback. Elsewhere, TlsChannelCredentials. Keepalive notices a connection that
    // died quietly.
    ManagedChannel channel =
        Grpc.newChannelBuilder(arguments[0], InsecureChannelCredentials.create())
            .keepAliveTime(20, TimeUnit.SECONDS)
            .keepAliveTimeout(10, TimeUnit.SECONDS)
            .build();
    int code;
    try {
      code = new Search(IdentityTrailServiceGrpc.newBlockingStub(channel), request).run();
    } catch (StatusRuntimeException | IllegalStateException error) {
      System.err.println("no answer to the end: " + error.getMessage());
      code = BROKEN;
    } finally {
      channel.shutdownNow();
    }
    System.exit(code);
  }
}
