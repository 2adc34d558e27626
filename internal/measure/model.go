package measure

import "fmt"

// CheckModel refuses the name of a model whose telemetry would be mixed with the
// service's own points: it is the measurement of the telemetry.
func CheckModel(name string) error {
	if Taken(name) {
		return fmt.Errorf("model %s: the name is that of a measurement of the service itself: choose another one", name)
	}
	return nil
}
