package device

import (
	"strings"
	"testing"
)

func TestFaultsInARowCount(t *testing.T) {
	var list []Fault
	for _, f := range []Fault{
		{Reason: FaultTime, Topic: "telemetry", Detail: "a", Value: "1"},
		{Reason: FaultTime, Topic: "telemetry", Detail: "a", Value: "2", Count: 4},
		{Reason: FaultTime, Topic: "telemetry", Detail: "b"},
		{Reason: FaultTime, Topic: "telemetry", Detail: "a"},
	} {
		list = AppendFault(list, f)
	}
	if len(list) != 3 || list[0].Count != 5 || list[0].Value != "2" || list[2].Count != 0 {
		t.Errorf("%+v", list)
	}
}

func TestAFaultIsClippedToItsBounds(t *testing.T) {
	long := Fault{Detail: strings.Repeat("ü", 200), Value: strings.Repeat("v", 129)}.Clipped()
	if n := len(long.Detail); n > MaxFaultDetail || n < MaxFaultDetail-4 || !strings.HasSuffix(long.Detail, "ü…") {
		t.Errorf("%d bytes: %s", n, long.Detail)
	}
	if n := len(long.Value); n != MaxFaultValue || !strings.HasSuffix(long.Value, "v…") {
		t.Errorf("%d bytes: %s", n, long.Value)
	}
	if short := (Fault{Detail: strings.Repeat("d", MaxFaultDetail)}); short.Clipped() != short {
		t.Error("a fault within its bounds was changed")
	}
}
