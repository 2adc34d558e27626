package credentials

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"maps"

	"devicetwin/device"
)

// memoryMost is how many devices a process knows by heart: about 100 MB.
const memoryMost = 250_000

// memory is what a process knows of devices while it can't ask. It needs a lock
// around it.
type memory struct {
	devices map[device.ID]remembered
	revoked map[device.ID]bool
	most    int  // of each of these
	partial bool // there are revoked devices that are not among them
	// unwritten are the credentials that devices used and that could not be written as
	// used, by device.
	unwritten map[device.ID]string
}

// remembered are the secrets of a device, those of newer credentials first.
type remembered []heldSecret

type heldSecret struct {
	credential string
	hash       [sha256.Size]byte
}

// upTo leaves out what is older than a credential; nil if that is not among them.
func (r remembered) upTo(credential string) remembered {
	for kept := len(r); kept > 0; kept-- {
		if r[kept-1].credential == credential {
			return r[:kept]
		}
	}
	return nil
}

func newMemory(most int) memory {
	return memory{devices: map[device.ID]remembered{}, revoked: map[device.ID]bool{}, most: most, unwritten: map[device.ID]string{}}
}

// put remembers a record in place of what was known of its device, but for what the
// device has used and that is not in the record yet.
func (m *memory) put(r Record) {
	switch {
	case r.Revoked.IsZero():
		delete(m.revoked, r.Device)
	case m.revoked[r.Device] || len(m.revoked) < m.most:
		m.revoked[r.Device] = true
	default:
		m.partial = true
	}
	var held remembered
	for _, c := range r.Issued { // which has the good ones only
		for _, h := range c.Hashes {
			raw, err := hex.DecodeString(h)
			if err != nil || len(raw) != sha256.Size {
				continue // a hash that no password has
			}
			held = append(held, heldSecret{c.ID, [sha256.Size]byte(raw)})
		}
	}
	held = m.end(r.Device, held)
	_, known := m.devices[r.Device]
	switch {
	case len(held) == 0:
		delete(m.devices, r.Device)
	case known || len(m.devices) < m.most:
		m.devices[r.Device] = held
	}
}

// keep takes over what could not be written. Of a device that is not known, whoever
// writes it finds out.
func (m *memory) keep(unwritten map[device.ID]string) {
	m.unwritten = unwritten
	for id := range maps.Clone(unwritten) {
		if held, known := m.devices[id]; known {
			m.devices[id] = m.end(id, held)
		}
	}
}

// end leaves out what is older than the credential that a device used and that could not
// be written as used. If that is no longer a good one, a newer one was used elsewhere, or
// all were revoked: then there is nothing to write.
func (m *memory) end(id device.ID, held remembered) remembered {
	used, ok := m.unwritten[id]
	if !ok {
		return held
	}
	kept := held.upTo(used)
	if kept == nil {
		delete(m.unwritten, id)
		return held
	}
	return kept
}

// check reports whether the password is a good one of the device, as far as is
// known. It ends the older ones, and notes that this has to be written.
func (m *memory) check(id device.ID, password string) bool {
	held, hash := m.devices[id], sha256.Sum256([]byte(password))
	for _, h := range held {
		if subtle.ConstantTimeCompare(h.hash[:], hash[:]) != 1 {
			continue
		}
		kept := held.upTo(h.credential)
		if len(kept) < len(held) || m.unwritten[id] != "" {
			m.unwritten[id] = h.credential
		}
		m.devices[id] = kept
		return true
	}
	return false
}
