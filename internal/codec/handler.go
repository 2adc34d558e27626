package codec

import (
	"net/http"
	"slices"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
)

// maxBody bounds a request; Temporal itself takes payloads of 2 MiB.
const maxBody = 8 << 20

// Handler is the endpoint with which Temporal's UI shows payloads: POST /decode.
// It lets in pages of these origins only, and other programs; who may reach it,
// may read what is encrypted. It never encrypts.
func Handler(c *Codec, origins []string) http.Handler {
	decode := converter.NewPayloadCodecHTTPHandler(decodeOnly{c})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /decode", func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		decode.ServeHTTP(w, r)
	})
	mux.HandleFunc("OPTIONS /decode", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Origin")
		if origin := r.Header.Get("Origin"); origin != "" {
			if !slices.Contains(origins, origin) {
				http.Error(w, "this origin is not let in", http.StatusForbidden)
				return
			}
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Allow-Methods", "POST")
			w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Namespace")
		}
		mux.ServeHTTP(w, r)
	})
}

// decodeOnly can't encrypt.
type decodeOnly struct{ *Codec }

// Encode returns what it was given.
func (decodeOnly) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	return payloads, nil
}
