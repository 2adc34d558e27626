package window_test

import (
	"encoding/json"
	"fmt"
	"log"
	"time"

	"devicetwin/devicefsm/window"
)

// The mean of each minute, with ten seconds for late events.
func Example() {
	w, err := window.Compile(window.Spec{Aggregate: window.Mean, Over: time.Minute, Grace: 10 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	var s window.State
	count := func(at, arrived int64, v float64) {
		for w.Due(s, at) || w.Full(s, at) {
			var r window.Result
			s, r = w.Close(s)
			fmt.Printf("%v to %v: %v of %d\n", seconds(r.Start), seconds(r.End), r.Value, r.Count)
		}
		value, err := w.Value(v)
		if err != nil {
			log.Fatal(err)
		}
		var missed int
		if s, missed = w.Add(s, window.Sample{At: at, Arrived: arrived, Dated: true, Value: value}); missed > 0 {
			fmt.Printf("the event of %v is late\n", seconds(at))
		}
	}
	count(5_000, 5_100, 20)
	count(62_000, 62_100, 50)
	count(50_000, 64_000, 30) // within the ten seconds
	count(75_000, 75_100, 70)
	count(51_000, 76_000, 1000)

	text, err := json.Marshal(s)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))
	if d, ok := w.Deadlines(s); ok {
		fmt.Println("without another event, the next one closes at", seconds(d.Arrival))
	}
	// Output:
	// 0s to 1m0s: 25 of 2
	// the event of 51s is late
	// {"t":75000,"l":100,"c":0,"late":1,"p":[[1,2,120,100]]}
	// without another event, the next one closes at 2m10.1s
}

func seconds(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }
