package service

import (
	"fmt"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"devicetwin/internal/codec"
)

// readKeys reads the keys with which what devices said is encrypted, in Temporal and in
// logs; nil: it is not.
func (c TemporalServer) readKeys() (*codec.Codec, error) {
	if c.Keys == "" {
		return nil, nil
	}
	keys, err := codec.ReadKeys(c.Keys)
	if err != nil {
		return nil, &ConfigError{fmt.Errorf("--temporal-keys: %w", err)}
	}
	return keys, nil
}

// encrypt lets a client encrypt what it gives to Temporal, if there are keys.
func (c TemporalServer) encrypt(options *client.Options) error {
	keys, err := c.readKeys()
	if err != nil || keys == nil {
		return err
	}
	options.DataConverter = converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), keys)
	options.FailureConverter = temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{
		DataConverter: options.DataConverter, EncodeCommonAttributes: true, // messages and stacks
	})
	return nil
}
