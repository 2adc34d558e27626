package device

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.temporal.io/sdk/temporal"

	"devicetwin/device"
)

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
	body, err := json.Marshal(a.posted(ctx, to, in))
	if err != nil {
		return temporal.NewNonRetryableApplicationError(fmt.Sprintf("notify %s of device %s: encode: %v", to, in.Device, err), "encode", err)
	}
	if isTopic {
		return a.notifyTopic(ctx, topic, to, in, body)
	}
	request, err := newPost(ctx, "notify "+to, url, in.ID, body)
	if err != nil {
		return err
	}
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
	if isOK(status) {
		return nil
	}
	return refusedWith(status, fmt.Sprintf("notify %s of device %s: answered %d %s", to, id, status, http.StatusText(status)))
}
