package bench

import (
	"encoding/json"
	"testing"
	"time"

	"devicetwin/wire"
	"devicetwin/wire/dialect"
)

// The dialect reads records as the messages of the same devices: numbers and values are the same.
func TestRecordsSayTheSame(t *testing.T) {
	raw, err := files.ReadFile("testdata/" + kafkaDialect)
	if err != nil {
		t.Fatal(err)
	}
	d, err := dialect.Load(kafkaDialect, raw)
	if err != nil {
		t.Fatal(err)
	}
	records, err := dialect.NewRecords(wire.DefaultConfig(), d)
	if err != nil {
		t.Fatal(err)
	}
	for topic, say := range map[string]speech{"events/tick": tick, "telemetry": coldReading} {
		a := newAccounts("dev", 1, topic)[0]
		a.due = make([]int64, 7)
		value := kafkaSpeech(say)(a, nil)
		if !json.Valid(value) {
			t.Fatalf("%s: %s", topic, value)
		}
		received, err := records.Decode(records.Name(a.record, []byte(a.id)), value, false, time.Now())
		if err != nil || len(received) != 1 {
			t.Fatalf("%s: %s is read as %v, %v", topic, value, received, err)
		}
		if m := received[0].Message; received[0].ID.Name() != a.id || m.Epoch != 1 || m.Seq != 7 {
			t.Errorf("%s: %s is message %d/%d of %s", topic, value, m.Epoch, m.Seq, received[0].ID)
		}
	}
}

// A rate is compared with that of another case, if it was measured.
func TestCompare(t *testing.T) {
	r := &run{report: Report{Rows: []Row{{Case: caseEvents, Value: 200}}}}
	row := Row{Case: caseKafkaEvents, Value: 150}
	if r.compare(&row, caseEvents); row.Remark != "0.75 × events" {
		t.Errorf("remark %q", row.Remark)
	}
	other := Row{Case: caseKafkaTelemetry, Value: 150}
	if r.compare(&other, caseTelemetry); other.Remark != "" {
		t.Errorf("remark %q", other.Remark)
	}
}
