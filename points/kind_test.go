package points

import (
	"testing"
	"time"
)

// The points of a customer say so, and a number that it calls kind is not in the way of that.
// Points of devices are what they were.
func TestReadingsOfOtherKinds(t *testing.T) {
	var f flattener
	for _, tt := range []struct{ device, want string }{
		{"pump-1", "m,device=pump-1,model=m kind=1,x=2 1"},
		{"customer/pump-1", "m,device=customer/pump-1,kind=customer,model=m kind:number=1,x=2 1"},
		{"pump-1", "m,device=pump-1,model=m kind=1,x=2 1"},
	} {
		r := Reading{Model: "m", Device: tt.device, Object: []byte(`{"kind":1,"x":2}`), Time: time.Unix(0, 1)}
		line, ok := f.line(nil, r, func(x Refusal) { t.Errorf("refused: %+v", x) })
		if !ok || string(line) != tt.want {
			t.Errorf("%s, want %s", line, tt.want)
		}
	}
}
