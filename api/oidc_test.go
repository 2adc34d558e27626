package api_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"devicetwin/api"
)

func TestOIDC(t *testing.T) {
	key, other := rsaKey(t), rsaKey(t)
	issuer := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "k", Algorithm: oidc.RS256}}}
	server := httptest.NewServer(issuer)
	defer server.Close()
	issuer.SetIssuer(server.URL)
	config := api.OIDCConfig{Issuer: server.URL, Audience: "devicetwin", Claim: "scope", Prefix: "twin:"}
	if err := config.Validate(); err != nil {
		t.Fatal(err)
	}
	auth := api.NewOIDC(config)
	claims := func(audience, scopes string, expires time.Duration) string {
		return fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":"ann","exp":%d,"scope":%s}`, server.URL, audience, time.Now().Add(expires).Unix(), scopes)
	}
	sign := func(key *rsa.PrivateKey, claims string) string {
		return oidctest.SignIDToken(key, "k", oidc.RS256, claims)
	}
	for _, tt := range []struct {
		name, token string
		want        []api.Scope // nil: refused
	}{
		{"a string", sign(key, claims("devicetwin", `"openid twin:read twin:operate read"`, time.Hour)), []api.Scope{"read", "operate"}},
		{"a list", sign(key, claims("devicetwin", `["twin:admin","twin:fly",7]`, time.Hour)), []api.Scope{"admin"}},
		{"no scope", sign(key, claims("devicetwin", `17`, time.Hour)), []api.Scope{}},
		{"another service's", sign(key, claims("shop", `"twin:admin"`, time.Hour)), nil},
		{"expired", sign(key, claims("devicetwin", `"twin:admin"`, -time.Hour)), nil},
		{"another's key", sign(other, claims("devicetwin", `"twin:admin"`, time.Hour)), nil},
		{"no JWT", "a.b.c", nil},
		{"no JWT at all", "dtw_abc", nil},
	} {
		caller, err := auth.Authenticate(t.Context(), tt.token)
		if tt.want == nil {
			if !errors.Is(err, api.ErrUnauthenticated) {
				t.Errorf("%s: %+v, %v", tt.name, caller, err)
			}
			continue
		}
		if err != nil || caller.Name != "oidc:ann" || !slices.Equal(caller.Scopes, tt.want) {
			t.Errorf("%s: %+v, %v, want scopes %v", tt.name, caller, err, tt.want)
		}
	}
}

func TestOIDCWhileTheIssuerIsAway(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	auth := api.NewOIDC(api.OIDCConfig{Issuer: server.URL, Audience: "devicetwin", Claim: "scope"})
	both := api.AnyOf(keys{"a.b.c": {Name: "odd"}}, auth)
	if _, err := both.Authenticate(t.Context(), "x.y.z"); !errors.Is(err, api.ErrTokensUnchecked) {
		t.Errorf("a JWT: %v", err)
	}
	if _, err := both.Authenticate(t.Context(), "dtw_x"); !errors.Is(err, api.ErrUnauthenticated) {
		t.Errorf("a token: %v", err)
	}
	if caller, err := both.Authenticate(context.Background(), "a.b.c"); err != nil || caller.Name != "odd" {
		t.Errorf("a known token: %v, %v", caller, err)
	}
}

func TestOIDCSettings(t *testing.T) {
	err := api.OIDCConfig{Issuer: "http://example.org"}.Validate()
	for _, want := range []string{"expected a URL with https", "audience: expected one", "claim: expected"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("not reported: %s: %v", want, err)
		}
	}
}

func rsaKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
