package twin

import (
	"fmt"
	"strings"
	"testing"
)

// section100 is a section of 100 values in 10 groups, about 1.6 KB.
func section100(value int) string {
	var groups []string
	for g := range 10 {
		var keys []string
		for k := range 10 {
			keys = append(keys, fmt.Sprintf(`"key%d":%d`, k, value+k))
		}
		groups = append(groups, fmt.Sprintf(`"group%d":{%s}`, g, strings.Join(keys, ",")))
	}
	return "{" + strings.Join(groups, ",") + "}"
}

func BenchmarkUpdate(b *testing.B) {
	for _, c := range []struct{ name, start, request string }{
		{"small", `{"state":{"desired":{"on":true,"level":3},"reported":{"on":false}}}`, `{"state":{"reported":{"on":true}},"clientToken":"t"}`},
		{"200 values", `{"state":{"desired":` + section100(1000) + `,"reported":` + section100(2000) + `}}`, `{"state":{"reported":{"group3":{"key7":5}}},"clientToken":"t"}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			doc := made(b, c.start)
			request := []byte(c.request)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, refused := Update(doc, request, t1, limits); refused != nil {
					b.Fatal(refused)
				}
			}
		})
	}
}

func BenchmarkStore(b *testing.B) {
	doc := made(b, `{"state":{"desired":`+section100(1000)+`,"reported":`+section100(2000)+`}}`)
	doc, _ = update(b, doc, `{"state":{"reported":{"group3":{"key7":5}}}}`, t1)
	text, _ := doc.MarshalJSON()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		text, _ := doc.MarshalJSON()
		var again Document
		if err := again.UnmarshalJSON(text); err != nil {
			b.Fatal(err)
		}
	}
}
