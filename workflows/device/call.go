package device

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.temporal.io/sdk/temporal"

	"devicetwin/device"
)

const (
	maxCallResult  = 16 << 10 // bytes
	shownCallReply = 200      // bytes of what a receiver says when it refuses
	// An attempt gives up a little before Temporal takes it for lost and begins the next, so
	// that the two are not under way at once.
	callMargin    = time.Second
	callMarginDiv = 10 // of a short one
)

// calls have no timeout of their own: an attempt has one.
var calls = &http.Client{}

// Call posts to a receiver of the configuration, and returns what it answers, a JSON object of
// at most 16 KiB; anything else is an empty result. Answers of 400 to 499 are final, except 408
// and 429; all else is tried again. A receiver that is a topic of Kafka answers nothing, so
// calling it is refused.
func (a *Activities) Call(ctx context.Context, in Invocation) (map[string]any, error) {
	to, _ := in.Input["to"].(string)
	url, ok := a.Receivers[to]
	if !ok {
		return nil, temporal.NewNonRetryableApplicationError(
			fmt.Sprintf("call %s: no receiver of that name in the worker's configuration", to), "receiver", nil)
	}
	if topic, ok := kafkaTopic(url); ok {
		return nil, temporal.NewNonRetryableApplicationError(
			fmt.Sprintf("call %s: the receiver is the topic %s of Kafka, which answers nothing; it can be notified", to, topic), "receiver", nil)
	}
	body, err := json.Marshal(a.calledWith(ctx, to, in))
	if err != nil {
		return nil, temporal.NewNonRetryableApplicationError(fmt.Sprintf("call %s for %s: encode: %v", to, in.Device.Entity(), err), "encode", err)
	}
	if at, ok := ctx.Deadline(); ok {
		left := time.Until(at)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, left-min(callMargin, left/callMarginDiv))
		defer cancel()
	}
	request, err := newPost(ctx, "call "+to, url, in.ID, body)
	if err != nil {
		return nil, err
	}
	response, err := calls.Do(request)
	if err != nil {
		return nil, fmt.Errorf("call %s for %s: %w", to, in.Device.Entity(), err)
	}
	defer response.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(response.Body, maxCallResult+1))
	if err == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that the connection can be used again
	}
	if status := response.StatusCode; !isOK(status) {
		return nil, callError(to, in.Device, status, reply)
	}
	if err != nil { // it has answered, but who knows what
		return nil, fmt.Errorf("call %s for %s: read its answer: %w", to, in.Device.Entity(), err)
	}
	return resultOfCall(reply), nil
}

func (a *Activities) calledWith(ctx context.Context, to string, in Invocation) posted {
	p := a.posted(ctx, to, in)
	p.Event, _ = in.Input["event"].(string)
	if n, ok := in.Input["number"].(float64); ok {
		p.Number = uint64(n)
	}
	return p
}

// resultOfCall is an answer as a JSON object; empty if it is anything else.
func resultOfCall(reply []byte) map[string]any {
	var result map[string]any
	if len(reply) > maxCallResult || json.Unmarshal(reply, &result) != nil || result == nil {
		return map[string]any{}
	}
	return result
}

func callError(to string, id device.ID, status int, reply []byte) error {
	message := fmt.Sprintf("call %s for %s: answered %d %s", to, id.Entity(), status, http.StatusText(status))
	if text := bytes.TrimSpace(bytes.ToValidUTF8(reply, nil)); len(text) > 0 {
		message += ": " + device.Clip(string(text), shownCallReply)
	}
	return refusedWith(status, message)
}
