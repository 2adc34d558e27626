package codec

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

// purposeLog is that of keys for segments of a log on disk: they differ from those for
// payloads, also with the same salt.
const purposeLog = "devicetwin log v1"

// Active is the id of the key that encrypts. With Derive, a Codec has the keys of an
// internal/recordlog.
func (c *Codec) Active() string { return c.active }

// Derive returns the cipher of a segment of a log (AES-256-GCM, with nonces that the
// caller chooses) from a key of the file and the segment's salt. An error: the file has
// no such key.
func (c *Codec) Derive(id string, salt []byte) (cipher.AEAD, error) {
	block, err := c.block(id, salt, purposeLog)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// block makes a cipher with a key that is derived for one purpose.
func (c *Codec) block(id string, salt []byte, purpose string) (cipher.Block, error) {
	secret, ok := c.secrets[id]
	if !ok {
		return nil, fmt.Errorf("no key %q in the key file", id)
	}
	derived, err := hkdf.Key(sha256.New, secret, salt, purpose, keyBytes)
	if err != nil {
		return nil, fmt.Errorf("derive from key %q: %w", id, err)
	}
	return aes.NewCipher(derived)
}
