package credentials

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"devicetwin/device"
)

const (
	secretBytes = 32 // 256 bits
	// MaxCredentials is how many credentials a device has: those issued since the one
	// that it last used.
	MaxCredentials = 16
	// MaxSecrets is how many secrets a credential has, one for each attempt to deliver it.
	MaxSecrets = 16
)

// Credential is one that a device was given.
type Credential struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	Hashes []string  `json:"sha256"` // of its secrets, in hexadecimal
}

// About is what whoever imported a device said about it. The store only keeps it.
type About struct {
	Tags  map[string]string `json:"tags,omitempty"`
	Site  string            `json:"site,omitempty"`
	Model string            `json:"model,omitempty"`
}

func (a About) equal(b About) bool {
	return a.Site == b.Site && a.Model == b.Model && maps.Equal(a.Tags, b.Tags)
}

// Record is what is kept of one device.
type Record struct {
	// Device is "" where an older version kept the credentials, and the device has
	// not logged in since.
	Device device.ID
	About
	Issued  []Credential // the good ones, newest first
	Used    string       // id of the newest that the device has used
	Revoked time.Time    // zero if it is not revoked
}

// clone is a copy whose credentials can be changed.
func (r Record) clone() Record {
	r.Issued = slices.Clone(r.Issued)
	for i := range r.Issued {
		r.Issued[i].Hashes = slices.Clone(r.Issued[i].Hashes)
	}
	return r
}

// index is where a credential is among the good ones; -1 for nowhere.
func (r *Record) index(credential string) int {
	return slices.IndexFunc(r.Issued, func(c Credential) bool { return c.ID == credential })
}

// trim ends what is older than the credential that was used last.
func (r *Record) trim() {
	if at := r.index(r.Used); at >= 0 {
		r.Issued = r.Issued[:at+1]
	}
}

// add makes a hash one of the credential's.
func (r *Record) add(credential, hash string, now time.Time) {
	r.trim()
	at := r.index(credential)
	if at < 0 {
		r.Issued = slices.Insert(r.Issued, 0, Credential{ID: credential, At: now})
		if n := len(r.Issued); n > MaxCredentials { // the oldest is the one in use
			r.Issued = append(r.Issued[:MaxCredentials-1], r.Issued[n-1])
		}
		at = 0
	}
	hashes := append(r.Issued[at].Hashes, hash)
	r.Issued[at].Hashes = hashes[max(0, len(hashes)-MaxSecrets):]
}

// issue makes a hash one of the credential's. Only an enrolment lets a device that was
// revoked in again: else the error is ErrRevoked.
func (r *Record) issue(credential, hash string, enrol bool, now time.Time) error {
	if !r.Revoked.IsZero() && !enrol {
		return ErrRevoked
	}
	r.Revoked = time.Time{}
	r.add(credential, hash, now)
	return nil
}

// find is the credential that a password is of; "" for none.
func (r *Record) find(password string) (credential string) {
	r.trim()
	got := []byte(Hash(password))
	for _, c := range r.Issued {
		for _, h := range c.Hashes {
			if subtle.ConstantTimeCompare(got, []byte(h)) == 1 {
				return c.ID
			}
		}
	}
	return ""
}

// revoke ends all credentials.
func (r *Record) revoke(now time.Time) { r.Issued, r.Used, r.Revoked = nil, "", now }

// Outcome is what an import did with a record.
type Outcome string

// Outcomes.
const (
	Created   Outcome = "created"   // it got its credentials, or was noted as revoked
	Updated   Outcome = "updated"   // it kept its credentials, if it has any; what is said about it is new
	Unchanged Outcome = "unchanged" // all of this was known
	Revoked   Outcome = "revoked"   // it was revoked: nothing is changed
)

// Outcomes are all of them.
var Outcomes = []Outcome{Created, Updated, Unchanged, Revoked}

// take changes a record by one that is imported; fresh says that the device was not known.
func (r *Record) take(e Record, fresh bool) Outcome {
	if !r.Revoked.IsZero() {
		return Revoked
	}
	outcome := Unchanged
	if !r.About.equal(e.About) || fresh || r.Device == "" {
		r.About, outcome = e.About, Updated
	}
	r.Device = e.Device
	switch {
	case fresh && !e.Revoked.IsZero():
		r.revoke(e.Revoked)
		outcome = Created
	case len(e.Issued) > 0 && len(r.Issued) == 0:
		r.Issued, r.Used = e.Issued, e.Used
		*r = r.clone()
		r.trim()
		outcome = Created
	}
	return outcome
}

// NewSecret is a random secret, in hexadecimal, and its hash.
func NewSecret() (secret, hash string) {
	raw := make([]byte, secretBytes)
	rand.Read(raw) // never fails
	secret = hex.EncodeToString(raw)
	return secret, Hash(secret)
}

// Hash is the SHA-256 hash of a password, in hexadecimal.
func Hash(password string) string {
	sum := sha256.Sum256([]byte(password))
	return hex.EncodeToString(sum[:])
}
