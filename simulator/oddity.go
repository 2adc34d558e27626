package simulator

import (
	"math/rand/v2"
	"slices"
)

// oddities change a reading into one that is odd, as firmwares and gateways send it.
// The readings of other devices and the healthy fields of this one have to stay what
// they are.
var oddities = []func(data map[string]any, random *rand.Rand){
	func(data map[string]any, random *rand.Rand) { replaceNumber(data, random, "nan") },
	func(data map[string]any, random *rand.Rand) { replaceNumber(data, random, true) },
	func(data map[string]any, random *rand.Rand) { // the names of tags, and of the time
		data["device"], data["model"], data["time"] = "D-7", float64(random.IntN(100)), rounded(random.Float64())
	},
	func(data map[string]any, random *rand.Rand) { // a nested object
		data["motor"] = map[string]any{
			"rpm": float64(random.IntN(3000)), "on": true, "error": nil,
			"phase": map[string]any{"a": rounded(random.Float64()), "b.c": "ok"},
		}
	},
	func(data map[string]any, random *rand.Rand) { // arrays
		data["samples"] = []any{rounded(random.Float64()), "high", []any{random.Float64() < 0.5}, map[string]any{"x": 1.0}}
		data["none"], data["empty"] = []any{}, map[string]any{}
	},
	func(data map[string]any, random *rand.Rand) { // keys that need care
		data[""], data["a.b"], data["a%2Eb"], data["with space,=\""] = 1.0, rounded(random.Float64()), "dot", true
		data["flow:string"] = rounded(random.Float64())
	},
}

// replaceNumber puts a value in the place of one of the numbers.
func replaceNumber(data map[string]any, random *rand.Rand, by any) {
	var numbers []string
	for key, v := range data {
		if _, ok := v.(float64); ok {
			numbers = append(numbers, key)
		}
	}
	if len(numbers) == 0 {
		return
	}
	slices.Sort(numbers)
	data[numbers[random.IntN(len(numbers))]] = by
}
