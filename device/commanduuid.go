package device

import (
	"crypto/sha1"
	"encoding/hex"
)

// CommandUUID is the UUID by which a device is sent a command that wants one, from the id of
// the command: always the same. It is of version 5 (RFC 9562, section 5.5), in lower case.
func CommandUUID(id string) string { return uuid5(commandNamespace, id) }

// commandNamespace is that of the ids of commands. Devices have it in their answers: it
// never changes.
var commandNamespace = [16]byte{0x27, 0x39, 0x86, 0xf4, 0x59, 0x9e, 0x50, 0x66, 0x8f, 0xb9, 0xe4, 0xb5, 0x3d, 0xec, 0x40, 0x70}

func uuid5(namespace [16]byte, name string) string {
	sum := sha1.Sum(append(namespace[:], name...))
	u := sum[:16]
	u[6] = u[6]&0x0f | 0x50 // the version
	u[8] = u[8]&0x3f | 0x80 // the variant
	digits := hex.EncodeToString(u)
	return digits[:8] + "-" + digits[8:12] + "-" + digits[12:16] + "-" + digits[16:20] + "-" + digits[20:]
}
