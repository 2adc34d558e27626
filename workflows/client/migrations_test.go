package client

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"devicetwin/device"
	"devicetwin/devicefsm"
	deviceworkflow "devicetwin/workflows/device"
)

// A migration of a fleet has the plan as devices are given it, and the names of the models from it.
func TestMigrationOfAPlan(t *testing.T) {
	p := devicefsm.Plan{Model: "pump", From: "a", To: "b", States: map[string][]string{"online": {"online"}}, Context: map[string]string{"n": "1"}}
	in, err := MigrationOf(p, device.By{Who: "ann", ID: "m1"})
	in.Rate = 5
	if err != nil || in.Check() != nil {
		t.Fatalf("%v, %v", err, in.Check())
	}
	if in.ID != "m1" || in.Who != "ann" || in.Model != "pump" || in.From != "a" || in.To != "b" {
		t.Errorf("%+v", in)
	}
	var again devicefsm.Plan
	if err := json.Unmarshal(in.Plan, &again); err != nil || !reflect.DeepEqual(again, p) {
		t.Errorf("the plan is %+v, %v", again, err)
	}
	if hash, err := again.Hash(); err != nil || hash != in.Hash {
		t.Errorf("its hash is %s, and not %s: %v", hash, in.Hash, err)
	}
	p.Context["n"] = strings.Repeat("1", deviceworkflow.MaxPlan)
	var refused *device.Refused
	if _, err := MigrationOf(p, device.By{ID: "m1"}); !errors.As(err, &refused) || refused.Code != 413 {
		t.Errorf("a plan that is too large: %v", err)
	}
}
