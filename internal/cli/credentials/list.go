package credentials

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"devicetwin/device"
	"devicetwin/internal/credentials"
	"devicetwin/source"
)

// line is a device in a list: a JSON object, or a row of a CSV file, whose columns
// have these names; a tag is a column tag.NAME, and hashes are separated by spaces.
type line struct {
	Device string            `json:"device"`
	Site   string            `json:"site,omitempty"`
	Model  string            `json:"model,omitempty"`
	Tags   map[string]string `json:"tags,omitempty"`
	// Hashes are those of passwords that another system gave to the device.
	Hashes []string `json:"sha256,omitempty"`

	// Of an export, in JSON only.
	Credentials []credentials.Credential `json:"credentials,omitempty"`
	Used        string                   `json:"used,omitempty"`
	Revoked     *time.Time               `json:"revoked,omitempty"`
}

func lineOf(r credentials.Record) line {
	l := line{Device: string(r.Device), Site: r.Site, Model: r.Model, Tags: r.Tags, Credentials: r.Issued, Used: r.Used}
	if !r.Revoked.IsZero() {
		l.Revoked = &r.Revoked
	}
	return l
}

const (
	maxLine = 1 << 20 // bytes
	// maxWord is the length of a site, a model and the id of a credential, in bytes.
	maxWord = 128
	// importedID is the id of credentials of which only hashes are given.
	importedID = "imported"
)

// reader reads a list, and collects what is wrong with it.
type reader struct {
	file    string
	now     time.Time
	records []credentials.Record
	lines   map[device.ID]int // on which each device is
	faults  source.Faults
}

// readList reads a list: JSON, one object a line, or CSV with a header line. The
// error has every fault, as source.Faults.
func readList(file string, from io.Reader) ([]credentials.Record, error) {
	r := reader{file: file, now: time.Now().UTC(), lines: map[device.ID]int{}}
	in := bufio.NewReader(from)
	start, err := in.Peek(1)
	switch {
	case errors.Is(err, io.EOF):
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", file, err)
	case start[0] == '{':
		err = r.readJSON(in)
	default:
		err = r.readCSV(in)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if len(r.faults) > 0 {
		return nil, r.faults
	}
	return r.records, nil
}

func (r *reader) fault(line int, format string, args ...any) {
	r.faults = append(r.faults, source.Fault{File: r.file, Line: line, Column: 1, Message: fmt.Sprintf(format, args...)})
}

func (r *reader) readJSON(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		raw := bytes.TrimSpace(lines.Bytes())
		if len(raw) == 0 {
			continue
		}
		var l line
		decode := json.NewDecoder(bytes.NewReader(raw))
		decode.DisallowUnknownFields()
		err := decode.Decode(&l)
		if err == nil && decode.More() {
			err = errors.New("there is more after the object")
		}
		if err != nil {
			r.fault(n, "expected a JSON object of a device: %s", strings.TrimPrefix(err.Error(), "json: "))
			continue
		}
		r.add(n, l)
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		r.fault(n+1, "the line has more than %d bytes", maxLine)
		return nil
	}
	return lines.Err()
}

func (r *reader) readCSV(in io.Reader) error {
	rows := csv.NewReader(in)
	rows.TrimLeadingSpace = true
	header, err := rows.Read()
	if err != nil {
		return r.csvFault(err)
	}
	header[0] = strings.TrimPrefix(header[0], "\ufeff") // of spreadsheets
	if !r.checkHeader(header) {
		return nil
	}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			if err := r.csvFault(err); err != nil {
				return err
			}
			if errors.Is(err, csv.ErrFieldCount) {
				continue
			}
			return nil // where the next row begins is not known
		}
		n, _ := rows.FieldPos(0)
		r.add(n, lineOfRow(header, row))
	}
}

// csvFault makes a fault of the format one of the list.
func (r *reader) csvFault(err error) error {
	var wrong *csv.ParseError
	if !errors.As(err, &wrong) {
		return err
	}
	r.fault(wrong.StartLine, "%v", wrong.Err)
	return nil
}

func (r *reader) checkHeader(header []string) (good bool) {
	for i, name := range header {
		_, tag := strings.CutPrefix(name, "tag.")
		switch {
		case slices.Index(header, name) != i:
			r.fault(1, "column %q is there twice", name)
		case !tag && !slices.Contains([]string{"device", "site", "model", "sha256"}, name):
			r.fault(1, "column %q: expected device, site, model, sha256 or tag.NAME", name)
		}
	}
	if !slices.Contains(header, "device") {
		r.fault(1, "expected a header with the column device")
	}
	return len(r.faults) == 0
}

func lineOfRow(header, row []string) line {
	var l line
	for i, name := range header {
		value := strings.TrimSpace(row[i])
		switch name {
		case "device":
			l.Device = value
		case "site":
			l.Site = value
		case "model":
			l.Model = value
		case "sha256":
			l.Hashes = strings.Fields(value)
		default:
			if value != "" {
				if l.Tags == nil {
					l.Tags = map[string]string{}
				}
				l.Tags[strings.TrimPrefix(name, "tag.")] = value
			}
		}
	}
	return l
}

func (r *reader) add(n int, l line) {
	was := len(r.faults)
	id, err := device.New(device.KindDevice, l.Device)
	if err != nil {
		r.fault(n, "%v", err)
	} else if first, twice := r.lines[id]; twice {
		r.fault(n, "device %s is on line %d, too", id, first)
	} else {
		r.lines[id] = n
	}
	if err := device.CheckTags(l.Tags); err != nil {
		r.fault(n, "%v", err)
	}
	r.checkWord(n, "site", l.Site)
	r.checkWord(n, "model", l.Model)
	issued := r.credentials(n, l)
	if len(r.faults) > was {
		return
	}
	if len(l.Tags) == 0 {
		l.Tags = nil
	}
	e := credentials.Record{Device: id, About: credentials.About{Tags: l.Tags, Site: l.Site, Model: l.Model}, Issued: issued, Used: l.Used}
	if l.Revoked != nil {
		e.Revoked = *l.Revoked
	}
	r.records = append(r.records, e)
}

func (r *reader) checkWord(n int, what, word string) {
	if len(word) > maxWord || strings.ContainsFunc(word, unicode.IsControl) || strings.ToValidUTF8(word, "") != word {
		r.fault(n, "%s %.40q: expected at most %d bytes of UTF-8 without control characters", what, word, maxWord)
	}
}

// credentials are those of a line.
func (r *reader) credentials(n int, l line) []credentials.Credential {
	issued := l.Credentials
	if len(l.Hashes) > 0 {
		if len(issued) > 0 {
			r.fault(n, "sha256 and credentials: expected one of them")
		}
		issued = []credentials.Credential{{ID: importedID, At: r.now, Hashes: l.Hashes}}
	}
	if l.Revoked != nil && len(issued) > 0 {
		r.fault(n, "a device that is revoked has no credentials")
	}
	if len(issued) > credentials.MaxCredentials {
		r.fault(n, "%d credentials: expected at most %d", len(issued), credentials.MaxCredentials)
	}
	seen := map[string]bool{}
	for _, c := range issued {
		if c.ID == "" || seen[c.ID] {
			r.fault(n, "credential %q: expected an id of its own", c.ID)
		}
		seen[c.ID] = true
		r.checkWord(n, "credential", c.ID)
		if len(c.Hashes) == 0 || len(c.Hashes) > credentials.MaxSecrets {
			r.fault(n, "credential %q has %d hashes: expected 1 to %d", c.ID, len(c.Hashes), credentials.MaxSecrets)
		}
		for i, h := range c.Hashes {
			if raw, err := hex.DecodeString(h); err != nil || len(raw) != 32 {
				r.fault(n, "hash %.10q…: expected the SHA-256 of a password, 64 hexadecimal digits", h)
			}
			c.Hashes[i] = strings.ToLower(h)
		}
	}
	if l.Used != "" && !seen[l.Used] {
		r.fault(n, "used %.40q: expected the id of one of the credentials", l.Used)
	}
	return issued
}
