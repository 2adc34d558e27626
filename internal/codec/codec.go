// Package codec encrypts what Temporal keeps of workflows: arguments, results,
// signals, queries and the messages of failures. Temporal itself sees ciphertext.
//
// AES-256-GCM, with a key for each payload that is derived (HKDF-SHA256) from one
// of a file and 16 random bytes: so random nonces never run out, however many
// payloads one key of the file has served. The id of that key is in the
// payload's metadata, in the clear, and is authenticated.
//
// What is not encrypted by us is let through unread, because workflows that began
// before encryption was turned on have to go on. So this keeps the contents from
// whoever reads the database, and not the workflows from whoever may write to it:
// such a person could put back an old payload, or one in the clear.
//
// Not encrypted: ids of workflows (that is, of devices), names of signals and
// activities, times, and search attributes, which Temporal has to search.
package codec

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"
)

const (
	encoding  = "binary/encrypted"
	metaKeyID = "encryption-key-id"
	saltBytes = 16
	purpose   = "devicetwin payload 1" // of derived keys for payloads
)

// Codec encrypts with one key, and decrypts with that and older ones. It may be
// used from several goroutines.
type Codec struct {
	active  string
	secrets map[string][]byte
}

var _ converter.PayloadCodec = (*Codec)(nil)

// Encode implements converter.PayloadCodec.
func (c *Codec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		plain, err := proto.Marshal(p)
		if err != nil {
			return nil, fmt.Errorf("encrypt a payload: %w", err)
		}
		salt := make([]byte, saltBytes)
		rand.Read(salt) // never fails
		aead, err := c.aead(c.active, salt)
		if err != nil {
			return nil, fmt.Errorf("encrypt a payload: %w", err)
		}
		out[i] = &commonpb.Payload{
			Metadata: map[string][]byte{converter.MetadataEncoding: []byte(encoding), metaKeyID: []byte(c.active)},
			Data:     aead.Seal(salt, nil, plain, []byte(c.active)),
		}
	}
	return out, nil
}

// Decode implements converter.PayloadCodec.
func (c *Codec) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		if string(p.GetMetadata()[converter.MetadataEncoding]) != encoding {
			out[i] = p
			continue
		}
		plain, err := c.decrypt(p)
		if err != nil {
			return nil, fmt.Errorf("decrypt a payload: %w", err)
		}
		out[i] = plain
	}
	return out, nil
}

func (c *Codec) decrypt(p *commonpb.Payload) (*commonpb.Payload, error) {
	id := string(p.GetMetadata()[metaKeyID])
	if len(p.GetData()) < saltBytes {
		return nil, errors.New("it is too short")
	}
	aead, err := c.aead(id, p.GetData()[:saltBytes])
	if err != nil {
		return nil, err
	}
	raw, err := aead.Open(nil, nil, p.GetData()[saltBytes:], []byte(id))
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", id, err)
	}
	plain := new(commonpb.Payload)
	if err := proto.Unmarshal(raw, plain); err != nil {
		return nil, fmt.Errorf("key %q: %w", id, err)
	}
	return plain, nil
}

// aead makes the cipher of one payload; it puts a nonce before the ciphertext.
func (c *Codec) aead(id string, salt []byte) (cipher.AEAD, error) {
	block, err := c.block(id, salt, purpose)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
