package e2e

import (
	"bytes"
	"context"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"

	"devicetwin/deploy/devstack/stack"
	"devicetwin/internal/codec"
	"devicetwin/internal/testfile"
	"devicetwin/service"
	twinclient "devicetwin/workflows/client"
)

// With keys, nothing that a device said can be read in Temporal without them.
func TestTemporalKeepsOnlyCiphertext(t *testing.T) {
	keyFile := aKeyFile(t)
	keys, err := codec.ReadKeys(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, stack.Options{Parts: []stack.Part{stack.PartMQTT, stack.PartTemporal}})
	config := service.DefaultConfig()
	config.MQTT.URL, config.Temporal.Address, config.Temporal.Namespace = []string{s.MQTT.URL()}, s.Temporal.Addr(), stack.Namespace
	config.Temporal.Keys, config.Influx.URL = keyFile, ""
	config.Model.Model, config.HTTP.Listen = pumpModel, "127.0.0.1:0"
	config.Worker.Credentials, config.Model.Copies = t.TempDir(), t.TempDir()
	models := config.Model
	service, err := service.Start(config, service.Bridge|service.Worker, testLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	awaitReady(t, service.HTTPAddr())

	const secret = "said in confidence"
	connect(t, s.MQTT.URL(), "pump-1").publish("devices/pump-1/status", `{"status": "boot", "note": "`+secret+`"}`)

	loaded, err := models.LoadModels()
	if err != nil {
		t.Fatal(err)
	}
	reader, err := client.Dial(client.Options{
		HostPort: s.Temporal.Addr(), Namespace: stack.Namespace, Logger: testLogger(t),
		DataConverter: converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), keys),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	twins := twinclient.New(reader, stack.Namespace, taskQueue, loaded[0].Hash())
	eventually(t, "the state of the pump", func(ctx context.Context) bool {
		_, err := twins.Snapshot(ctx, "pump-1")
		return err == nil
	})

	found := false
	events := reader.GetWorkflowHistory(t.Context(), "device/pump-1", "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := proto.Marshal(event)
		searched := event.GetUpsertWorkflowSearchAttributesEventAttributes() != nil // which have to be readable
		if err != nil || bytes.Contains(raw, []byte(secret)) || bytes.Contains(raw, []byte("json/plain")) && !searched {
			t.Errorf("%v can be read, or error %v", event, err)
		}
		found = found || decrypts(t, keys, event.GetWorkflowExecutionSignaledEventAttributes().GetInput(), secret)
	}
	if !found {
		t.Error("no signal holds what the pump said: the test proves nothing")
	}
}

func decrypts(t *testing.T, keys *codec.Codec, payloads *commonpb.Payloads, text string) bool {
	t.Helper()
	plain, err := keys.Decode(payloads.GetPayloads())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range plain {
		if bytes.Contains(p.GetData(), []byte(text)) {
			return true
		}
	}
	return false
}

// aKeyFile is a file with a new key for payloads.
func aKeyFile(t *testing.T) string {
	t.Helper()
	line, err := codec.NewKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	return testfile.Write(t, "keys", line+"\n")
}
