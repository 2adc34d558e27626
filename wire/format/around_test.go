package format

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"runtime"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestEncoded(t *testing.T) {
	checkDecoding(t, compile(t, Spec{Format: "json", Encoded: "base64"}), []decoding{
		{payload: "eyJhIjoi77+977+9In0=", want: `{"a":"` + "\ufffd\ufffd" + `"}`},
		{payload: "ID8_Pw", err: "json: line 1, column 2: "},                     // of both alphabets
		{payload: "eyJhIjoi77-977-9In0", want: `{"a":"` + "\ufffd\ufffd" + `"}`}, // the alphabet for URLs, without padding
		{payload: " MT\r\nIz\n", want: `123`},
		{payload: "", err: "json: empty"},
		{payload: "M\nT!z", err: "base64: byte 3: not a digit of base64"},
		{payload: "MT=z", err: "base64: byte 2: not a digit of base64"},
		{payload: "MTIzN", err: "base64: byte 4: cut off"},
		{payload: "MTIz!", err: "base64: byte 4: not a digit of base64"},
		{payload: "M\xffIz", err: "base64: byte 1: not a digit of base64"},
		{payload: "eA==", err: "json: line 1, column 1: invalid character 'x'"},
	})
	checkDecoding(t, compile(t, Spec{Format: "text", Encoded: "hex"}), []decoding{
		{payload: "4F 4e\n", want: `"ON"`},
		{payload: "", want: `""`},
		{payload: "4f4", err: "hex: an odd number of digits"},
		{payload: "4f\n4x", err: "hex: byte 3: not two digits of hex"},
	})
	checkEncoding(t, compile(t, Spec{Format: "text", Encoded: "hex"}), []encoding{{value: `"ON"`, want: "4f4e"}})
	checkEncoding(t, compile(t, Spec{Format: "text", Encoded: "base64"}), []encoding{{value: `"a?>"`, want: "YT8+"}, {value: `"a"`, want: "YQ=="}})
}

func TestCompressed(t *testing.T) {
	const document = `{"a":1}`
	plain := compile(t, Spec{Format: "json"})
	for _, method := range []string{"gzip", "zlib", "deflate"} {
		packed := string(deflate(method, []byte(document)))
		table := []decoding{
			{payload: packed, want: document},
			{payload: packed[:len(packed)-1], err: "cut off"},
			{payload: packed[:1], err: "cut off"},
			{payload: "", err: "cut off"},
			{payload: packed + "x", err: method + ": byte "},
			{payload: document, err: method + ": "},
			{payload: string(deflate(method, []byte("{"))), err: "json: line 1, column 1: unexpected end"},
		}
		checkDecoding(t, compile(t, Spec{Format: "json", Compressed: method}), table)
		if method != "deflate" {
			wrong := packed[:len(packed)-5] + string(packed[len(packed)-5]^1) + packed[len(packed)-4:]
			checkDecoding(t, compile(t, Spec{Format: "json", Compressed: method}), []decoding{{payload: wrong, err: method + ": byte "}})
		}
		auto := compile(t, Spec{Format: "json", Compressed: "auto"})
		checkDecoding(t, auto, []decoding{
			{payload: packed, want: document},
			{payload: document, want: document},
			{payload: string(deflate(method, nil)), err: "json: "},
		})
		if payload, err := auto.Encode(parse(t, document)); err != nil || string(payload) != document {
			t.Errorf("auto: %q, %v", payload, err)
		}
		if _, err := plain.Decode([]byte(packed)); err == nil {
			t.Errorf("%s is not JSON", method)
		}
	}
	// Members of gzip in a row are one stream (RFC 1952, section 2.2).
	both := string(deflate("gzip", []byte(`[1,`))) + string(deflate("gzip", []byte(`2]`)))
	checkDecoding(t, compile(t, Spec{Format: "json", Compressed: "gzip"}), []decoding{{payload: both, want: `[1,2]`}})
}

func TestAutoWithAmbiguousPayloads(t *testing.T) {
	text := compile(t, Spec{Format: "text", Compressed: "auto"})
	checkDecoding(t, text, []decoding{
		{payload: "x^2", want: `"x^2"`}, // x^ is also a header of zlib
		{payload: string(deflate("zlib", []byte("x^2"))), want: `"x^2"`},
		{payload: "", want: `""`},
	})
	damaged := deflate("gzip", []byte("ON"))
	damaged[len(damaged)-1] ^= 1
	checkDecoding(t, text, []decoding{{payload: string(damaged), err: "gzip: byte "}})
	layout := compile(t, Spec{Format: "bytes", Compressed: "auto", Layout: []Field{{Name: "n", Type: "u32"}}})
	checkDecoding(t, layout, []decoding{
		{payload: "\x1f\x8b\x08\x00", want: `{"n":529205248}`}, // looks like gzip
		{payload: string(deflate("deflate", []byte{0, 0, 1, 0})), want: `{"n":256}`},
		{payload: "\x00\x00\x01", err: "bytes: byte 0, n: the field ends with byte 3, the payload has 3 bytes"},
	})
}

// TestDecompressedSizeIsBounded uses what becomes a thousand times as large.
func TestDecompressedSizeIsBounded(t *testing.T) {
	bomb := bytes.Repeat([]byte(" "), 32<<20)
	for _, method := range []string{"gzip", "zlib", "deflate"} {
		packed := deflate(method, bomb)
		for _, compressed := range []string{method, "auto"} {
			f := compile(t, Spec{Format: "json", Compressed: compressed, Limits: Limits{Bytes: 1 << 20}})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, err := f.Decode(packed); err == nil || !strings.Contains(err.Error(), method) && compressed != "auto" {
				t.Errorf("%s, %s: %v", method, compressed, err)
			}
			runtime.ReadMemStats(&after)
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 10<<20 {
				t.Errorf("%s, %s: %d bytes are allocated", method, compressed, allocated)
			}
		}
		checkDecoding(t, compile(t, Spec{Format: "json", Compressed: method}), []decoding{{payload: string(packed[:1<<10]), err: "decompressed it has more than 131072 bytes"}})
	}
	exact := deflate("gzip", []byte(strings.Repeat("9", 10)))
	checkDecoding(t, compile(t, Spec{Format: "json", Compressed: "gzip", Limits: Limits{Bytes: len(exact)}}), []decoding{{payload: string(exact), want: "9999999999"}})
}

// TestReadersAreNotMixedUp decodes in several goroutines, also after errors.
func TestReadersAreNotMixedUp(t *testing.T) {
	var wait sync.WaitGroup
	for _, method := range []string{"gzip", "zlib", "deflate"} {
		f := compile(t, Spec{Format: "text", Compressed: method, Encoded: "base64"})
		for n := range 4 {
			wait.Go(func() {
				for i := range 100 {
					want := strings.Repeat(string(rune('a'+n)), i)
					packed, err := f.Encode(want)
					if err != nil {
						t.Error(err)
					}
					if _, err := f.Decode(packed[:len(packed)/2]); err == nil {
						t.Error("half of a payload was decoded")
					}
					if v, err := f.Decode(packed); err != nil || v != want {
						t.Errorf("%q: %q, %v", want, v, err)
					}
				}
			})
		}
	}
	wait.Wait()
}

func TestAroundRoundTrip(t *testing.T) {
	for _, encoded := range []string{"", "base64", "hex"} {
		for _, compressed := range []string{"", "none", "gzip", "zlib", "deflate", "auto"} {
			f := compile(t, Spec{Format: "json", Encoded: encoded, Compressed: compressed})
			t.Run(encoded+compressed, func(t *testing.T) {
				rapid.Check(t, func(t *rapid.T) { checkRoundTrip(t, f, values().Draw(t, "value")) })
			})
		}
	}
}

func FuzzDecodeAround(f *testing.F) {
	var seeds []string
	for _, method := range []string{"gzip", "zlib", "deflate"} {
		seeds = append(seeds, base64.StdEncoding.EncodeToString(deflate(method, []byte(`{"a":1}`))))
	}
	var named bytes.Buffer
	w := gzip.NewWriter(&named)
	w.Name, w.Comment, w.Extra = "reading.json", "c", []byte("x")
	if _, err := w.Write([]byte("1")); err != nil {
		f.Fatal(err)
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	fuzz(f, Spec{Format: "json", Encoded: "base64", Compressed: "auto"}, append(seeds, base64.StdEncoding.EncodeToString(named.Bytes()), "MQ==", "=", "e30", "H4sI")...)
}

func BenchmarkDecodeGzip(b *testing.B) {
	bench(b, Spec{Format: "json", Compressed: "gzip"}, string(deflate("gzip", []byte(readingJSON))))
}

func BenchmarkDecodeAutoPlain(b *testing.B) {
	bench(b, Spec{Format: "json", Compressed: "auto"}, readingJSON)
}
