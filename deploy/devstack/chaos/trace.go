package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"devicetwin/device"
	"devicetwin/simulator"
	deviceworkflow "devicetwin/workflows/device"
)

// Place is the last place on its way where a message was seen.
type Place string

// The places, in the order in which a message comes to them.
const (
	Published Place = "published" // acknowledged by the broker, and not seen since
	Received  Place = "received"  // by the bridge
	Signalled Place = "signalled" // in the history of the device's workflow, which did not apply it
)

// LostMessage is a message that was not applied.
type LostMessage struct {
	simulator.LostMessage
	LastSeen Place `json:"last_seen"`
}

// trace finds out how far the lost messages came: the bridge's log shows what it
// received, and the histories of the workflows show what was signalled.
func trace(ctx context.Context, c client.Client, bridgeLogs []string, lost []simulator.LostMessage) ([]LostMessage, error) {
	var traced []LostMessage
	signalled := map[string]map[simulator.LostMessage]bool{}
	received, err := receivedOf(bridgeLogs, lost)
	if err != nil {
		return nil, err
	}
	for _, m := range lost {
		if signalled[m.Device] == nil {
			if signalled[m.Device], err = signalsOf(ctx, c, m.Device); err != nil {
				return nil, err
			}
		}
		place := Published
		switch {
		case signalled[m.Device][m]:
			place = Signalled
		case received[m]:
			place = Received
		}
		traced = append(traced, LostMessage{m, place})
	}
	return traced, nil
}

// receivedOf looks for messages in the logs of the bridges, which log each
// that they receive.
func receivedOf(files []string, wanted []simulator.LostMessage) (map[simulator.LostMessage]bool, error) {
	found := map[simulator.LostMessage]bool{}
	if len(wanted) == 0 {
		return found, nil
	}
	for _, file := range files {
		if err := findReceived(file, wanted, found); err != nil {
			return nil, fmt.Errorf("read the log of a bridge: %w", err)
		}
	}
	return found, nil
}

func findReceived(file string, wanted []simulator.LostMessage, found map[simulator.LostMessage]bool) error {
	log, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer log.Close()
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if !strings.Contains(lines.Text(), "msg=received ") {
			continue
		}
		for _, m := range wanted {
			if strings.Contains(lines.Text(), fmt.Sprintf(" device=%s epoch=%d seq=%d ", m.Device, m.Epoch, m.Seq)) &&
				(m.Digest == "" || strings.HasSuffix(lines.Text(), " digest="+m.Digest)) {
				found[m] = true
			}
		}
	}
	return lines.Err()
}

// signalsOf reads all messages that a device's workflow was ever signalled,
// over all its runs.
func signalsOf(ctx context.Context, c client.Client, id string) (map[simulator.LostMessage]bool, error) {
	all := map[simulator.LostMessage]bool{}
	var unknown *serviceerror.NotFound
	desc, err := c.DescribeWorkflowExecution(ctx, deviceworkflow.WorkflowID(device.ID(id)), "")
	if errors.As(err, &unknown) {
		return all, nil
	}
	for run := desc.GetWorkflowExecutionInfo().GetExecution().GetRunId(); run != "" && err == nil; {
		events := c.GetWorkflowHistory(ctx, deviceworkflow.WorkflowID(device.ID(id)), run, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		run = ""
		for err == nil && events.HasNext() {
			e, failed := events.Next()
			if failed != nil {
				err = failed
				break
			}
			if started := e.GetWorkflowExecutionStartedEventAttributes(); started != nil {
				run = started.GetContinuedExecutionRunId()
			}
			if signal := e.GetWorkflowExecutionSignaledEventAttributes(); signal != nil {
				var batch device.Batch
				err = converter.GetDefaultDataConverter().FromPayloads(signal.GetInput(), &batch)
				for _, m := range batch.Messages {
					digest := m.Digest
					if m.Seq > 0 {
						digest = ""
					}
					all[simulator.LostMessage{Device: id, Epoch: m.Epoch, Seq: m.Seq, Digest: digest}] = true
				}
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read the signals of device %s: %w", id, err)
	}
	return all, nil
}
