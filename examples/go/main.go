// Command search asks what a user did, prints each event once, in order, and says whether that is all.
//
//	search HOST:PORT USER_NAME START_TIME END_TIME [ACCOUNT_ID…]   (times such as 2026-11-01T00:00:00Z)
//
// Exit status: 0 if the answer is complete, 3 if something is missing from it, 1 if it broke off.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "identity-trail.example/search/gen/identitytrail/v1"
)

//go:generate buf generate ../../proto

const (
	complete   = 0
	broken     = 1
	incomplete = 3
	// So many broken connections in a row, without a word of the answer between them, are no answer.
	maxAttempts = 5
)

// unread returns what of these outcomes is missing from an answer.
func unread(outcomes []*pb.ScanOutcome) []*pb.ScanOutcome {
	var missing []*pb.ScanOutcome
	for _, it := range outcomes {
		read := it.State == pb.OutcomeState_OUTCOME_STATE_COMPLETE ||
			it.State == pb.OutcomeState_OUTCOME_STATE_NOT_APPLICABLE ||
			// Whoever read it instead has an outcome too.
			it.State == pb.OutcomeState_OUTCOME_STATE_HANDED_OVER
		// A gap that the service's configuration accepts is no surprise; what a drain cut off is asked for again.
		known := it.GetReason().GetCode() == pb.ReasonCode_REASON_CODE_ACCEPTED_GAP ||
			it.GetReason().GetCode() == pb.ReasonCode_REASON_CODE_DRAIN
		if !read && !known {
			missing = append(missing, it)
		}
	}
	return missing
}

// A search, over as many streams as it takes.
type search struct {
	request *pb.SearchEventsRequest
	// What was missing from the streams before the last one.
	missing []*pb.ScanOutcome
	// Connections that broke since the last word of the answer.
	attempts int
}

// stream prints the events of one stream, and returns its summary and what it reported as missing.
func (s *search) stream(service pb.IdentityTrailServiceClient) (*pb.SearchSummary, []*pb.ScanOutcome, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := service.SearchEvents(ctx, s.request)
	if err != nil {
		return nil, nil, err
	}
	var summary *pb.SearchSummary
	var reported []*pb.ScanOutcome
	for {
		response, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && summary == nil:
			return nil, reported, errors.New("the stream ended without a summary")
		case errors.Is(err, io.EOF):
			return summary, reported, nil
		case err != nil:
			return nil, reported, err
		}
		if response.GetPlan() == nil {
			s.attempts = 0
		}
		// Each token says where to go on from, if this is the last that arrives.
		switch item := response.Item.(type) {
		case *pb.SearchEventsResponse_Plan:
			s.request.ResumeToken = item.Plan.ResumeToken
		case *pb.SearchEventsResponse_Progress:
			s.request.ResumeToken = item.Progress.ResumeToken
		case *pb.SearchEventsResponse_Event:
			s.request.ResumeToken = item.Event.ResumeToken
			at := item.Event.EventTime.AsTime().Format(time.RFC3339)
			fmt.Printf("%s\t%s\t%s\n", at, item.Event.EventId, item.Event.EventName)
		case *pb.SearchEventsResponse_Outcome:
			reported = append(reported, unread(item.Outcome.Outcomes)...)
		case *pb.SearchEventsResponse_Summary:
			summary = item.Summary
		}
	}
}

// run resumes until there is a summary that nothing follows.
func (s *search) run(service pb.IdentityTrailServiceClient) (*pb.SearchSummary, error) {
	for {
		summary, reported, err := s.stream(service)
		switch {
		case err != nil:
			s.attempts++
			if status.Code(err) != codes.Unavailable || s.attempts >= maxAttempts {
				return nil, err
			}
			// The stream that goes on speaks for the rest only: what failed before stays missing.
			s.missing = append(s.missing, reported...)
			fmt.Fprintln(os.Stderr, "resuming after:", err)
			time.Sleep(200 * time.Millisecond << s.attempts)
		case summary.StopReason == pb.StopReason_STOP_REASON_DRAIN:
			// That replica is shutting down: another one goes on.
			s.missing = append(append(s.missing, reported...), unread(summary.GetCoverage().GetOutcomes())...)
			s.request.ResumeToken = summary.ResumeToken
		default:
			return summary, nil
		}
	}
}

func run(arguments []string) (int, error) {
	if len(arguments) < 4 {
		return broken, errors.New("usage: search HOST:PORT USER_NAME START_TIME END_TIME [ACCOUNT_ID…]")
	}
	start, err := time.Parse(time.RFC3339, arguments[2])
	if err != nil {
		return broken, err
	}
	end, err := time.Parse(time.RFC3339, arguments[3])
	if err != nil {
		return broken, err
	}
	// Plain text: for a service on loopback. Elsewhere, credentials.NewTLS. Keepalive notices a connection that
	// died quietly.
	connection, err := grpc.NewClient(arguments[0],
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}))
	if err != nil {
		return broken, err
	}
	defer connection.Close()
	s := search{request: &pb.SearchEventsRequest{
		Identities: []*pb.Identity{{Kind: &pb.Identity_UserName{UserName: arguments[1]}}},
		StartTime:  timestamppb.New(start),
		EndTime:    timestamppb.New(end),
		AccountIds: arguments[4:],
	}}
	summary, err := s.run(pb.NewIdentityTrailServiceClient(connection))
	if err != nil {
		return broken, fmt.Errorf("no answer to the end: %w", err)
	}
	for _, outcome := range append(s.missing, unread(summary.GetCoverage().GetOutcomes())...) {
		fmt.Fprintf(os.Stderr, "missing: %v: %s\n", outcome.AccountIds, outcome.GetReason().GetMessage())
	}
	whole := summary.GetCoverage().GetCompleteness() == pb.Completeness_COMPLETENESS_COMPLETE ||
		summary.GetCoverage().GetCompleteness() == pb.Completeness_COMPLETENESS_COMPLETE_EXCEPT_ACCEPTED
	if summary.StopReason == pb.StopReason_STOP_REASON_END && whole && len(s.missing) == 0 {
		return complete, nil
	}
	return incomplete, nil
}

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "search:", err)
	}
	os.Exit(code)
}
