package model

import (
	"context"
	"fmt"
	"os"
	"strings"

	"devicetwin/api/client"
	"devicetwin/devicefsm"
	"devicetwin/internal/cli"
)

// registryFlags say where versions of the registry are asked for.
type registryFlags struct {
	URL   string `name:"api-url" help:"Address of the API, for a version of the registry." default:"http://127.0.0.1:8080" group:"API"`
	Token string `name:"api-token" help:"Token for the API. Prefer the environment variable." group:"API"`
}

// find is the model of a file, or, for NAME@VERSION where there is no such file, that version of
// the registry.
func (r registryFlags) find(ctx context.Context, reference string) (*devicefsm.Model, error) {
	name, version, pinned := strings.Cut(reference, "@")
	if _, err := os.Stat(reference); err == nil || !pinned || strings.ContainsAny(reference, `/\`) {
		return loadOneModel(reference)
	}
	from, err := client.New(r.URL, r.Token)
	if err != nil {
		return nil, cli.Usage(fmt.Errorf("--api-url: %w", err))
	}
	v, err := from.ModelVersion(ctx, name, version)
	if err != nil {
		return nil, fmt.Errorf("read %s from the registry: %w", reference, err)
	}
	m, err := devicefsm.Load(v.File, []byte(v.Source))
	if err != nil {
		return nil, fmt.Errorf("load %s of the registry: %w", reference, err)
	}
	if m.Hash() != v.Hash {
		return nil, fmt.Errorf("load %s of the registry: it has the hash %s here, and %s in the registry", reference, m.Hash(), v.Hash)
	}
	return m, nil
}

// pair finds both models by their references.
func (r registryFlags) pair(ctx context.Context, old, new string) (*devicefsm.Model, *devicefsm.Model, error) {
	before, err := r.find(ctx, old)
	if err != nil {
		return nil, nil, err
	}
	after, err := r.find(ctx, new)
	return before, after, err
}
