package api

import (
	"context"
	"errors"
	"slices"
)

// Scope is what a caller may do.
type Scope string

// The scopes. Each contains those before it.
const (
	ScopeRead    Scope = "read"    // everything that changes nothing
	ScopeOperate Scope = "operate" // desired properties, tags, commands, events, reprovisioning
	ScopeAdmin   Scope = "admin"   // deleting devices, changing the registry of models
)

var scopes = []Scope{ScopeRead, ScopeOperate, ScopeAdmin}

// ParseScope reads a scope's name.
func ParseScope(name string) (Scope, bool) {
	return Scope(name), slices.Contains(scopes, Scope(name))
}

// Caller is who makes a request.
type Caller struct {
	Name   string // for the audit, and kept with what is changed
	Scopes []Scope
}

// May reports whether one of the caller's scopes contains the scope.
func (c Caller) May(scope Scope) bool {
	return slices.ContainsFunc(c.Scopes, func(has Scope) bool {
		return slices.Index(scopes, has) >= slices.Index(scopes, scope)
	})
}

// Anonymous is the caller if authentication is disabled. It has admin access.
var Anonymous = Caller{Name: "anonymous", Scopes: []Scope{ScopeAdmin}}

// Authenticator finds the caller that a token belongs to. Its errors are
// ErrUnauthenticated, or ErrTokensUnchecked if it cannot be checked now, possibly
// wrapped.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (Caller, error)
}

// ErrUnauthenticated says that a token is unknown or no longer valid.
var ErrUnauthenticated = errors.New("the token is not valid")

// ErrTokensUnchecked says that a token can't be checked now.
var ErrTokensUnchecked = errors.New("tokens can't be checked now")

// AnyOf tries one authenticator after the other, until one accepts the token.
func AnyOf(authenticators ...Authenticator) Authenticator { return anyOf(authenticators) }

type anyOf []Authenticator

func (a anyOf) Authenticate(ctx context.Context, token string) (Caller, error) {
	err := ErrUnauthenticated
	for _, one := range a {
		caller, fault := one.Authenticate(ctx, token)
		if fault == nil {
			return caller, nil
		}
		err = fault
	}
	return Caller{}, err
}

type callerKey struct{}

func callerOf(ctx context.Context) Caller {
	caller, _ := ctx.Value(callerKey{}).(Caller)
	return caller
}
