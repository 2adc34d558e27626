package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// OIDCConfig says which JSON Web Tokens are accepted.
type OIDCConfig struct {
	Issuer   string // its URL, from which its keys are found
	Audience string // which has to be among a token's audiences
	Claim    string // that holds the scopes: an array, or a string with spaces between them
	Prefix   string // of the scopes in it, as in "devicetwin:read"
}

// Validate reports everything that is missing.
func (c OIDCConfig) Validate() error {
	var faults []error
	if u, err := url.Parse(c.Issuer); err != nil || u.Host == "" || u.Scheme != "https" && !IsLoopback(u.Hostname()) {
		faults = append(faults, fmt.Errorf("issuer %q: expected a URL with https", c.Issuer))
	}
	if c.Audience == "" {
		faults = append(faults, errors.New("audience: expected one, otherwise tokens for other services would be accepted"))
	}
	if c.Claim == "" {
		faults = append(faults, errors.New("claim: expected the name of the claim that holds the scopes"))
	}
	return errors.Join(faults...)
}

// OIDC accepts JSON Web Tokens of one issuer. It requests the issuer's keys when
// the first token arrives, so the issuer need not be available at startup.
type OIDC struct {
	config OIDCConfig
	client *http.Client

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier
	asked    time.Time
	fault    error
}

// askAgain is the time between two attempts to reach an issuer that did not respond.
const askAgain = 5 * time.Second

// NewOIDC makes an authenticator of a valid configuration.
func NewOIDC(c OIDCConfig) *OIDC {
	return &OIDC{config: c, client: &http.Client{Timeout: 5 * time.Second}}
}

// Authenticate implements Authenticator.
func (o *OIDC) Authenticate(ctx context.Context, token string) (Caller, error) {
	if strings.Count(token, ".") != 2 {
		return Caller{}, ErrUnauthenticated
	}
	verifier, err := o.discover()
	if err != nil {
		return Caller{}, err
	}
	verified, err := verifier.Verify(ctx, token)
	if err != nil {
		return Caller{}, fmt.Errorf("%w: %w", ErrUnauthenticated, err)
	}
	var claims map[string]any
	if err := verified.Claims(&claims); err != nil {
		return Caller{}, fmt.Errorf("%w: read its claims: %w", ErrUnauthenticated, err)
	}
	return Caller{Name: "oidc:" + verified.Subject, Scopes: o.scopes(claims[o.config.Claim])}, nil
}

// scopes are those that a claim holds; words that are not scopes belong to other services.
func (o *OIDC) scopes(claim any) []Scope {
	var words []string
	switch c := claim.(type) {
	case string:
		words = strings.Fields(c)
	case []any:
		for _, v := range c {
			if word, ok := v.(string); ok {
				words = append(words, word)
			}
		}
	}
	var granted []Scope
	for _, word := range words {
		name, ok := strings.CutPrefix(word, o.config.Prefix)
		if scope, known := ParseScope(name); ok && known && !slices.Contains(granted, scope) {
			granted = append(granted, scope)
		}
	}
	return granted
}

// discover finds the URL of the issuer's keys, once.
func (o *OIDC) discover() (*oidc.IDTokenVerifier, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.verifier != nil {
		return o.verifier, nil
	}
	now := time.Now()
	if o.fault != nil && now.Sub(o.asked) < askAgain {
		return nil, o.fault
	}
	o.asked = now
	// The context also serves for the keys later: it must not be a request's.
	provider, err := oidc.NewProvider(oidc.ClientContext(context.Background(), o.client), o.config.Issuer)
	if err != nil {
		o.fault = fmt.Errorf("%w: ask issuer %s for its keys: %w", ErrTokensUnchecked, o.config.Issuer, err)
		return nil, o.fault
	}
	o.verifier = provider.Verifier(&oidc.Config{ClientID: o.config.Audience})
	return o.verifier, nil
}
