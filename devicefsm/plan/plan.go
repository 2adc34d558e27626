package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"devicetwin/devicefsm"
)

// Plan is a plan that fits its models.
type Plan struct {
	devicefsm.Plan
	// Hash identifies the plan: hex SHA-256 of what it says. Comments, white space and the
	// order of keys do not change it.
	Hash string
	// Migration applies it.
	Migration *devicefsm.Migration
	old, new  *devicefsm.Model
}

// version is part of every hash.
const version = "devicetwin plan 1\n"

func hashOf(p devicefsm.Plan) (string, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("hash of plan: %w", err)
	}
	sum := sha256.Sum256(append([]byte(version), text...))
	return hex.EncodeToString(sum[:]), nil
}
