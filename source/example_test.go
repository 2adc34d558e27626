package source_test

import (
	"errors"
	"fmt"
	"time"

	"devicetwin/source"
)

// A reader of its own file format: it asks each value for what it expects, and
// looks for faults once, at the end.
func Example() {
	type settings struct {
		name     string
		interval time.Duration
		ports    []int64
	}
	read := func(content string) (settings, error) {
		f := source.Parse("settings.yaml", []byte(content))
		fields := f.Root().Fields("name", "interval", "ports")
		f.Root().Require(fields, "name")
		s := settings{name: fields["name"].String(), interval: fields["interval"].Duration()}
		for _, n := range fields["ports"].OneOrList() {
			s.ports = append(s.ports, n.Int(1, 65535))
		}
		return s, f.Err()
	}

	s, err := read("name: gateway\ninterval: 1d12h\nports: [1883, 8883]\n")
	fmt.Println(s.name, s.interval, s.ports, err)

	_, err = read("intervall: 5m\nports: [1883, 70000]\n")
	fmt.Println(err)
	// Output:
	// gateway 36h0m0s [1883 8883] <nil>
	// settings.yaml:1:1: unknown key "intervall"; expected one of name, interval, ports (did you mean "interval"?)
	// settings.yaml:1:1: key "name" is missing
	// settings.yaml:2:15: expected an integer from 1 to 65535, found 70000
}

func ExampleFaults() {
	f := source.Parse("settings.yaml", []byte("ports:\n  mqtt: none\n"))
	f.Root().Fields("ports")["ports"].Fields("mqtt")["mqtt"].Int(1, 65535)

	err := fmt.Errorf("read settings: %w", f.Err())
	var faults source.Faults
	if errors.As(err, &faults) {
		fmt.Println(faults[0].Line, faults[0].Column, faults[0].Message)
		fmt.Print(faults.Pretty())
	}
	// Output:
	// 2 9 expected an integer, found a string
	// settings.yaml:2:9: expected an integer, found a string
	//     2 |   mqtt: none
	//                 ^
}

func ExampleParseDuration() {
	d, err := source.ParseDuration("1d12h")
	fmt.Println(d, err)
	fmt.Println(source.FormatDuration(90 * time.Minute))
	// Output:
	// 36h0m0s <nil>
	// 1h30m
}
