package api

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"
)

const (
	tokenPrefix = "dtw_" // so that a leaked token is recognized
	hashPrefix  = "sha256:"
	maxTokens   = 10_000
)

var tokenName = regexp.MustCompile(`^[a-zA-Z0-9._@-]{1,64}$`)

// NewToken makes a token of 256 random bits, and the line for the token file. A
// token of that strength needs no slow hash.
func NewToken(name string, granted []Scope) (token, line string, err error) {
	if !tokenName.MatchString(name) {
		return "", "", fmt.Errorf("name %q: expected 1 to 64 of a-z A-Z 0-9 . _ @ -", name)
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return "", "", fmt.Errorf("make a token: %w", err)
	}
	token = tokenPrefix + base64.RawURLEncoding.EncodeToString(secret)
	words := make([]string, len(granted))
	for i, s := range granted {
		words[i] = string(s)
	}
	hash := sha256.Sum256([]byte(token))
	return token, fmt.Sprintf("%s %s%x %s", name, hashPrefix, hash, strings.Join(words, ",")), nil
}

// tokenEntry is one line of the token file.
type tokenEntry struct {
	hash   [sha256.Size]byte
	caller Caller
}

// parseTokens reads a token file: lines NAME sha256:HEX SCOPE,SCOPE; empty ones
// and those that begin with # are skipped. Its error reports every fault.
func parseTokens(file string, src []byte) ([]tokenEntry, error) {
	var entries []tokenEntry
	var faults []error
	names := map[string]int{}
	lines := bufio.NewScanner(bytes.NewReader(src))
	number := 0
	for lines.Scan() {
		number++
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		entry, err := parseTokenLine(line)
		if first, again := names[entry.caller.Name]; err == nil && again {
			err = fmt.Errorf("name %s is already in line %d", entry.caller.Name, first)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s:%d: %w", file, number, err))
			continue
		}
		names[entry.caller.Name] = number
		entries = append(entries, entry)
	}
	if err := lines.Err(); err != nil {
		faults = append(faults, fmt.Errorf("read %s: %w", file, err))
	}
	if len(entries) > maxTokens {
		faults = append(faults, fmt.Errorf("%s: %d tokens; at most %d are read", file, len(entries), maxTokens))
	}
	return entries, errors.Join(faults...)
}

func parseTokenLine(line string) (tokenEntry, error) {
	var entry tokenEntry
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return entry, fmt.Errorf("expected NAME %sHEX SCOPE,SCOPE; \"devicetwin token new\" makes such lines", hashPrefix)
	}
	if entry.caller.Name = fields[0]; !tokenName.MatchString(fields[0]) {
		return entry, fmt.Errorf("name %q: expected 1 to 64 of a-z A-Z 0-9 . _ @ -", fields[0])
	}
	digits, ok := strings.CutPrefix(fields[1], hashPrefix)
	hash, err := hex.DecodeString(digits)
	if !ok || err != nil || copy(entry.hash[:], hash) != sha256.Size || len(hash) != sha256.Size {
		return entry, fmt.Errorf("token of %s: expected %s and 64 hexadecimal digits", fields[0], hashPrefix)
	}
	for word := range strings.SplitSeq(fields[2], ",") {
		scope, ok := ParseScope(word)
		if !ok {
			return entry, fmt.Errorf("scope %q of %s: expected read, operate or admin", word, fields[0])
		}
		entry.caller.Scopes = append(entry.caller.Scopes, scope)
	}
	return entry, nil
}

// Tokens accepts the tokens whose hashes are in a file. The file is checked for
// changes, at most once a second, when a token is presented; a file that has
// faults changes nothing, and is reported once.
type Tokens struct {
	file string
	log  *slog.Logger

	mu      sync.Mutex
	entries []tokenEntry
	seen    os.FileInfo
	looked  time.Time
}

// lookAgain is how long a token may be accepted after it was removed from the file.
const lookAgain = time.Second

// OpenTokens reads a token file.
func OpenTokens(file string, log *slog.Logger) (*Tokens, error) {
	t := &Tokens{file: file, log: log}
	if err := t.load(); err != nil {
		return nil, err
	}
	t.looked = time.Now()
	return t, nil
}

// Len is the number of tokens.
func (t *Tokens) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.entries)
}

func (t *Tokens) load() error {
	info, err := os.Stat(t.file)
	if err != nil {
		return fmt.Errorf("read tokens: %w", err)
	}
	t.seen = info // also of a file with faults, so that they are reported once
	src, err := os.ReadFile(t.file)
	if err != nil {
		return fmt.Errorf("read tokens: %w", err)
	}
	entries, err := parseTokens(t.file, src)
	if err != nil {
		return err
	}
	t.entries = entries
	return nil
}

func (t *Tokens) reload() {
	if err := t.load(); err != nil {
		t.log.Error("cannot read the token file; the previous tokens stay valid", "error", err)
		return
	}
	t.log.Info("token file loaded", "file", t.file, "tokens", len(t.entries))
}

// current are the entries, read again if the file was changed.
func (t *Tokens) current() []tokenEntry {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.Sub(t.looked) >= lookAgain {
		t.looked = now
		if t.changed() {
			t.reload()
		}
	}
	return t.entries
}

// changed reports whether the file differs from the one that was read. A missing
// file, as while it is being replaced, has not changed.
func (t *Tokens) changed() bool {
	info, err := os.Stat(t.file)
	return err == nil && (!os.SameFile(info, t.seen) || !info.ModTime().Equal(t.seen.ModTime()) || info.Size() != t.seen.Size())
}

// Authenticate implements Authenticator. Its duration reveals nothing about
// the tokens.
func (t *Tokens) Authenticate(_ context.Context, token string) (Caller, error) {
	hash := sha256.Sum256([]byte(token))
	entries, found := t.current(), -1
	for i := range entries {
		equal := subtle.ConstantTimeCompare(entries[i].hash[:], hash[:])
		found = subtle.ConstantTimeSelect(equal, i, found)
	}
	if found < 0 {
		return Caller{}, ErrUnauthenticated
	}
	return entries[found].caller, nil
}
