package codec

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/encoding/protojson"
)

const ui = "http://127.0.0.1:8233"

func TestDecodingForTheUI(t *testing.T) {
	c := open(t, newLine(t, "k1"))
	server := httptest.NewServer(Handler(c, []string{ui}))
	defer server.Close()

	// As a client does that is not ours.
	remote := converter.NewRemotePayloadCodec(converter.RemotePayloadCodecOptions{Endpoint: server.URL})
	got, err := remote.Decode([]*commonpb.Payload{seal(t, c, payload("reading")), payload("clear")})
	if err != nil || len(got) != 2 || string(got[0].Data) != "reading" || string(got[1].Data) != "clear" {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := remote.Encode([]*commonpb.Payload{payload("x")}); err == nil {
		t.Errorf("it encrypts: %v", got)
	}
}

func TestWhoMayDecode(t *testing.T) {
	c := open(t, newLine(t, "k1"))
	body, err := protojson.Marshal(&commonpb.Payloads{Payloads: []*commonpb.Payload{seal(t, c, payload("reading"))}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, method, path, origin string
		body                       []byte
		want                       int
	}{
		{"the UI", "POST", "/decode", ui, body, http.StatusOK},
		{"what the UI asks first", "OPTIONS", "/decode", ui, nil, http.StatusNoContent},
		{"a program", "POST", "/decode", "", body, http.StatusOK},
		{"another page", "POST", "/decode", "https://evil.example", body, http.StatusForbidden},
		{"what another page asks first", "OPTIONS", "/decode", "https://evil.example", nil, http.StatusForbidden},
		{"a page of a file", "POST", "/decode", "null", body, http.StatusForbidden},
		{"encryption", "POST", "/encode", ui, body, http.StatusNotFound},
		{"reading", "GET", "/decode", ui, nil, http.StatusMethodNotAllowed},
		{"nonsense", "POST", "/decode", ui, []byte("{"), http.StatusBadRequest},
		{"too much", "POST", "/decode", ui, bytes.Repeat([]byte(" "), maxBody+1), http.StatusBadRequest},
	} {
		request := httptest.NewRequest(tt.method, tt.path, bytes.NewReader(tt.body))
		if tt.origin != "" {
			request.Header.Set("Origin", tt.origin)
		}
		answer := httptest.NewRecorder()
		Handler(c, []string{ui}).ServeHTTP(answer, request)
		if answer.Code != tt.want {
			t.Errorf("%s: %d, want %d: %s", tt.name, answer.Code, tt.want, answer.Body)
		}
		if allowed := answer.Header().Get("Access-Control-Allow-Origin"); allowed != "" && allowed != ui || tt.want == http.StatusForbidden && allowed != "" {
			t.Errorf("%s: allows %q", tt.name, allowed)
		}
		if tt.origin == ui && tt.want == http.StatusNoContent && !strings.Contains(answer.Header().Get("Access-Control-Allow-Headers"), "X-Namespace") {
			t.Errorf("%s: headers %v", tt.name, answer.Header())
		}
	}
}
