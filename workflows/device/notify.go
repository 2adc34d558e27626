package device

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"devicetwin/device"
)

// notification is what a receiver gets, as the body of a POST.
type notification struct {
	// ID is the same whenever this notification is sent again; it is also the
	// header Idempotency-Key.
	ID     string    `json:"id"`
	Device device.ID `json:"device"`
	Model  string    `json:"model"`
	To     string    `json:"to"`
	// At is when what is notified of happened, and Arrived when that was on the service's
	// clock, as those of a transition. There is no At if the workflow's run began under an
	// earlier release.
	At      time.Time `json:"at,omitzero"`
	Arrived time.Time `json:"arrived,omitzero"`
	// AttemptedAt is the time of this attempt, and Attempt its number, from 1.
	AttemptedAt time.Time `json:"attempted_at"`
	Attempt     int32     `json:"attempt,omitempty"`
	Data        any       `json:"data,omitempty"`
}

var webhooks = &http.Client{Timeout: 10 * time.Second}

// Notify posts a notification to a receiver of the configuration, or writes it to its topic of Kafka. Answers of 400 to 499 are final,
// except 408 and 429; all else is tried again.
func (a *Activities) Notify(ctx context.Context, in Invocation) error {
	to, _ := in.Input["to"].(string)
	url, ok := a.Receivers[to]
	topic, isTopic := kafkaTopic(url)
	if !ok || isTopic && a.Records == nil {
		return temporal.NewNonRetryableApplicationError(
			fmt.Sprintf("notify %s: no receiver of that name in the worker's configuration", to), "receiver", nil)
	}
	n := notification{
		ID: in.ID, Device: in.Device, To: to, At: in.At, Arrived: in.Arrived, AttemptedAt: time.Now().UTC(), Data: in.Input["data"],
	}
	if activity.IsActivity(ctx) {
		n.Attempt = activity.GetInfo(ctx).Attempt
	}
	if model, ok := a.Models.ByHash(in.Model); ok {
		n.Model = model.Name()
	}
	body, err := json.Marshal(n)
	if err != nil {
		return temporal.NewNonRetryableApplicationError(fmt.Sprintf("notify %s of device %s: encode: %v", to, in.Device, err), "encode", err)
	}
	if isTopic {
		return a.notifyTopic(ctx, topic, to, in, body)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return temporal.NewNonRetryableApplicationError(fmt.Sprintf("notify %s: %v", to, err), "receiver", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", in.ID)
	response, err := webhooks.Do(request)
	if err != nil {
		return fmt.Errorf("notify %s of device %s: %w", to, in.Device, err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that the connection can be used again
	return statusError(to, in.Device, response.StatusCode)
}

// notifyTopic writes a notification as a record.
func (a *Activities) notifyTopic(ctx context.Context, topic, to string, in Invocation, body []byte) error {
	err := a.Records.WriteRecord(ctx, KafkaRecord{
		Topic: topic, Key: string(in.Device), ID: in.ID, Value: body, At: in.Arrived, Headers: recordHeaders(RecordNotification, in.Device, 0),
	})
	switch {
	case errors.Is(err, ErrRecordRefused):
		return temporal.NewNonRetryableApplicationError(fmt.Sprintf("notify %s of device %s: %v", to, in.Device, err), "refused", err)
	case err != nil:
		return fmt.Errorf("notify %s of device %s: %w", to, in.Device, err)
	}
	return nil
}

func statusError(to string, id device.ID, status int) error {
	message := fmt.Sprintf("notify %s of device %s: answered %d %s", to, id, status, http.StatusText(status))
	switch {
	case status >= 200 && status < 300:
		return nil
	case status >= 400 && status < 500 && status != http.StatusRequestTimeout && status != http.StatusTooManyRequests:
		return temporal.NewNonRetryableApplicationError(message, "refused", nil)
	}
	return temporal.NewApplicationError(message, "unavailable")
}
