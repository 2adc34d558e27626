package points_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"devicetwin/points"
)

// A server that takes everything stands for InfluxDB.
func Example() {
	influx := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer influx.Close()

	cfg := points.DefaultConfig()
	cfg.URL = influx.URL
	cfg.Bucket = "plant/autogen"
	writer, err := points.NewWriter(cfg, points.Deps{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	writer.Write(points.Point{
		Measurement: "pump",
		Tags:        map[string]string{"device": "pump-17"},
		Fields:      map[string]any{"temperature": 61.5},
		Time:        time.Now(),
	})

	ctx, stop := context.WithCancel(context.Background())
	stop() // Run writes what it has before it returns
	writer.Run(ctx)
	fmt.Println("written:", writer.Metric("points_written_total"))
	// Output: written: 1
}

func ExamplePoint_Line() {
	line, _ := points.Point{
		Measurement: "pump",
		Tags:        map[string]string{"device": "pump-17", "model": "pump"},
		Fields: map[string]any{
			"temperature": 61.5,
			"running":     true,
			"position":    map[string]any{"x": 1.0, "y": 2.0},
		},
		Time: time.Unix(1_700_000_000, 0),
	}.Line()
	fmt.Println(line)
	// Output: pump,device=pump-17,model=pump position.x=1,position.y=2,running=true,temperature=61.5 1700000000000000000
}
