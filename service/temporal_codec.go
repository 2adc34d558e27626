package service

import (
	"fmt"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"devicetwin/internal/codec"
)

// encrypt lets a client encrypt what it gives to Temporal, if there are keys.
func (c TemporalServer) encrypt(options *client.Options) error {
	if c.Keys == "" {
		return nil
	}
	keys, err := codec.ReadKeys(c.Keys)
	if err != nil {
		return &ConfigError{fmt.Errorf("--temporal-keys: %w", err)}
	}
	options.DataConverter = converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), keys)
	options.FailureConverter = temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{
		DataConverter: options.DataConverter, EncodeCommonAttributes: true, // messages and stacks
	})
	return nil
}
