package device

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"devicetwin/device"
)

// posted is what a receiver of the configuration gets, as the body of a POST: a notification,
// or a call.
type posted struct {
	// ID is the same in every attempt; it is also the header Idempotency-Key.
	ID     string    `json:"id"`
	Device device.ID `json:"device"`
	Model  string    `json:"model"`
	To     string    `json:"to"`
	// Event is the name of what is processed, and Number its place among those of the entity,
	// from 1. A call of an invoke has neither, and nor has a notification.
	Event  string `json:"event,omitempty"`
	Number uint64 `json:"number,omitempty"`
	// At is when what is reported happened, and Arrived when that was on the service's clock, as
	// those of a transition. There is no At if the workflow's run began under an earlier release.
	At      time.Time `json:"at,omitzero"`
	Arrived time.Time `json:"arrived,omitzero"`
	// AttemptedAt is the time of this attempt, and Attempt its number, from 1.
	AttemptedAt time.Time `json:"attempted_at"`
	Attempt     int32     `json:"attempt,omitempty"`
	Data        any       `json:"data,omitempty"`
}

// posted is what a receiver gets for an invocation, without event and number.
func (a *Activities) posted(ctx context.Context, to string, in Invocation) posted {
	p := posted{ID: in.ID, Device: in.Device, To: to, At: in.At, Arrived: in.Arrived, AttemptedAt: time.Now().UTC(), Data: in.Input["data"]}
	if activity.IsActivity(ctx) {
		p.Attempt = activity.GetInfo(ctx).Attempt
	}
	if model, ok := a.Models.ByHash(in.Model); ok {
		p.Model = model.Name()
	}
	return p
}

// newPost is the request that brings a body to a receiver. An error is final.
func newPost(ctx context.Context, what, url, id string, body []byte) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, temporal.NewNonRetryableApplicationError(fmt.Sprintf("%s: %v", what, err), "receiver", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", id)
	return request, nil
}

// isOK reports whether a receiver has taken what was posted.
func isOK(status int) bool { return status >= 200 && status < 300 }

// refusedWith is the error of another answer: 400 to 499 are final, except 408 and 429; all else
// is tried again.
func refusedWith(status int, message string) error {
	if status >= 400 && status < 500 && status != http.StatusRequestTimeout && status != http.StatusTooManyRequests {
		return temporal.NewNonRetryableApplicationError(message, "refused", nil)
	}
	return temporal.NewApplicationError(message, "unavailable")
}
