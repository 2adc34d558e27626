package cli

import (
	"slices"
	"strconv"
	"strings"
)

// withNumber puts -- before a negative number that is the last argument, such as a payload, because no flag is
// called so. It is left alone after a flag that may take it as its value.
func withNumber(args []string) []string {
	n := len(args)
	if n < 2 || !strings.HasPrefix(args[n-1], "-") || slices.Contains(args, "--") {
		return args
	}
	if before := args[n-2]; strings.HasPrefix(before, "-") && !strings.Contains(before, "=") {
		return args
	}
	if _, err := strconv.ParseFloat(args[n-1], 64); err != nil || strings.ContainsAny(args[n-1], "nN") {
		return args
	}
	return slices.Insert(slices.Clone(args), n-1, "--")
}

// maxFaults bounds how many faults are printed: of a file that is something else, every line may be one.
const maxFaults = 50
