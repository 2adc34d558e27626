package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"devicetwin/device"
	"devicetwin/source"
)

// retryAfter is how many seconds a caller should wait while Temporal is unavailable.
const retryAfter = 5

// detailUnavailable is what callers read if servers or workers do not answer.
const detailUnavailable = "the devices can't be reached now"

// problem is the response for an error. Internal errors are logged; the response
// contains only the id of the log record.
func (s *Server) problem(ctx context.Context, err error) error {
	var refused *device.Refused
	var query QueryError
	var faults source.Faults
	switch {
	case err == nil:
		return nil
	case errors.Is(err, device.ErrUnknown):
		return huma.Error404NotFound(err.Error())
	case errors.As(err, &refused):
		return huma.NewError(refused.Code, refused.Message)
	case errors.As(err, &faults):
		return huma.NewError(http.StatusUnprocessableEntity, "the model has faults", faultDetails(faults)...)
	case errors.As(err, &query):
		return huma.Error400BadRequest("the query can't be read", queryDetails(query)...)
	case errors.Is(err, device.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		s.log.Warn("request not answered", "id", requestID(ctx), "error", err)
		return unavailable(detailUnavailable)
	case errors.Is(err, context.Canceled):
		// The caller is gone, or the service is shutting down and the caller may retry.
		return unavailable("the request was ended")
	}
	s.log.Error("request failed", "id", requestID(ctx), "error", err)
	return huma.Error500InternalServerError("internal error; see the log for id " + requestID(ctx))
}

func unavailable(detail string) error {
	return huma.ErrorWithHeaders(huma.Error503ServiceUnavailable(detail),
		http.Header{"Retry-After": {strconv.Itoa(retryAfter)}})
}

func queryDetails(faults QueryError) []error {
	details := make([]error, len(faults))
	for i, f := range faults {
		details[i] = &huma.ErrorDetail{Message: f.Message, Location: fmt.Sprintf("query.query:%d", f.Column)}
	}
	return details
}

// maxFaultDetails bounds how many faults of a model are listed.
const maxFaultDetails = 100

func faultDetails(faults source.Faults) []error {
	details := make([]error, 0, len(faults))
	for _, f := range faults[:min(len(faults), maxFaultDetails)] {
		message := f.Message
		if f.Hint != "" {
			message += " (" + f.Hint + ")"
		}
		details = append(details, &huma.ErrorDetail{Message: message, Location: sourcePlace(f.Line, f.Column)})
	}
	return details
}

// writeProblem answers where no operation does: unknown paths, and before or
// after the operation.
func writeProblem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(huma.ErrorModel{Title: http.StatusText(status), Status: status, Detail: detail})
}
