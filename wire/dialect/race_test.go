//go:build race

package dialect

func init() { raced = true }
