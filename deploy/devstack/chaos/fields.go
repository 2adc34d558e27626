package chaos

import (
	"fmt"
	"strconv"
	"strings"
)

// What follows says under which names InfluxDB has the values of a message, as the
// documentation has it. It shares no code with package points.

// flatten lists the scalars in a value by the names of their fields.
func flatten(into map[string]any, name string, value any) {
	within := func(key string) string {
		if name == "" {
			return key
		}
		return name + "." + key
	}
	switch v := value.(type) {
	case nil:
	case map[string]any:
		for key, member := range v {
			flatten(into, within(fieldKey(key)), member)
		}
	case []any:
		for i, element := range v {
			flatten(into, within(strconv.Itoa(i)), element)
		}
	case string:
		into[name+":string"] = v
	case bool:
		into[name+":bool"] = v
	default:
		into[numberName(name)] = v
	}
}

// numberName is the plain name, unless that could be another field's, or a tag's or
// the time's.
func numberName(name string) string {
	for _, end := range []string{":string", ":bool", ":number"} {
		if strings.HasSuffix(name, end) {
			return name + ":number"
		}
	}
	switch name {
	case "device", "model", "site", "time", "_time", "_start", "_stop", "_field", "_measurement", "_value":
		return name + ":number"
	}
	return name
}

// fieldKey is how one key is written in a name.
func fieldKey(key string) string {
	if key == "" {
		return "%FF"
	}
	var b strings.Builder
	for i := range len(key) {
		c := key[i]
		hex := i+2 < len(key) && strings.Trim(key[i+1:i+3], "0123456789ABCDEF") == ""
		if c < ' ' || c == 0x7f || c == '.' || c == '\\' || c == '%' && hex {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}
