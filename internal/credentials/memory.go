package credentials

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"

	"devicetwin/device"
)

// memoryMost is how many devices a process knows by heart: about 100 MB.
const memoryMost = 250_000

// memory is what a process knows of devices while it can't ask. It needs a lock
// around it.
type memory struct {
	devices map[device.ID]remembered
	most    int
	// unwritten are the uses of credentials that could not be written, by device.
	unwritten map[device.ID]string
}

// remembered are the secrets of a device, those of newer credentials first.
type remembered []heldSecret

type heldSecret struct {
	credential string
	hash       [sha256.Size]byte
}

func newMemory(most int) memory {
	return memory{devices: map[device.ID]remembered{}, most: most, unwritten: map[device.ID]string{}}
}

// put remembers a record in place of what was known of its device.
func (m memory) put(r Record) {
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
	_, known := m.devices[r.Device]
	switch {
	case len(held) == 0:
		delete(m.devices, r.Device)
	case known || len(m.devices) < m.most:
		m.devices[r.Device] = held
	}
}

// check reports whether the password is a good one of the device, as far as is
// known. It ends the older ones, and notes that this has to be written.
func (m memory) check(id device.ID, password string) bool {
	held, hash := m.devices[id], sha256.Sum256([]byte(password))
	for _, h := range held {
		if subtle.ConstantTimeCompare(h.hash[:], hash[:]) != 1 {
			continue
		}
		kept := len(held)
		for kept > 0 && held[kept-1].credential != h.credential {
			kept--
		}
		if kept < len(held) || m.unwritten[id] != "" {
			m.unwritten[id] = h.credential
		}
		m.devices[id] = held[:kept]
		return true
	}
	return false
}
