package text

import (
	"fmt"
	"strings"
)

// HeaderSecret is a token for an HTTP header, without the line break at its end that an
// editor or echo leaves there. What no header can hold is an error, which does not contain
// the token.
func HeaderSecret(token string) (string, error) {
	token = strings.TrimRight(token, "\r\n")
	for i := range len(token) {
		switch c := token[i]; {
		case c == '\n' || c == '\r':
			return "", fmt.Errorf("there is a line break after %d bytes: expected one line", i)
		case c < ' ' || c == 0x7f:
			return "", fmt.Errorf("there is a control character after %d bytes", i)
		}
	}
	if strings.HasPrefix(token, mark) {
		return "", fmt.Errorf("it begins with a byte order mark (BOM): save it without one")
	}
	return token, nil
}
