package format

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"devicetwin/internal/faults"
	"devicetwin/internal/text"
)

// csvCodec is lines of columns: RFC 4180, with any separator of one character.
type csvCodec struct {
	separator rune
	header    bool
	columns   []string
	numbers   bool
	limits    Limits
}

func newCSV(s Spec, l Limits, f *faults.List) codec {
	c := csvCodec{separator: ',', header: s.Header, columns: slices.Clone(s.Columns), numbers: s.Numbers, limits: l}
	if s.Separator != "" {
		r, n := utf8.DecodeRuneInString(s.Separator)
		f.Check(n == len(s.Separator) && r != utf8.RuneError && r != '"' && r != '\r' && r != '\n' && r != 0,
			"separator: expected one character that is not a quote or a line break, found %q", text.Clip(s.Separator, 40))
		c.separator = r
	}
	f.Check(s.Columns == nil || !s.Header, "columns: the header names them already: set one of the two")
	f.Check(s.Columns == nil || len(s.Columns) > 0, "columns: expected at least one")
	checkNames("columns", s.Columns, f)
	return c
}

// decode makes an array with an element for each line: an object, or an array where
// columns have no names.
func (c csvCodec) decode(payload []byte) (any, error) {
	payload, err := document(payload)
	if err != nil {
		return nil, err
	}
	// A line is read before its columns can be counted, so this is what bounds them.
	cells := 1 + bytes.Count(payload, []byte(string(c.separator))) + bytes.Count(payload, []byte("\n"))
	if cells > c.limits.Values {
		return nil, fmt.Errorf("%d lines and columns: more than %d values", cells, c.limits.Values)
	}
	r := csv.NewReader(bytes.NewReader(payload))
	r.Comma, r.TrimLeadingSpace, r.ReuseRecord, r.FieldsPerRecord = c.separator, c.separator != ' ' && c.separator != '\t', true, -1
	columns := c.columns
	if c.header {
		if columns, err = c.readHeader(r); err != nil {
			return nil, err
		}
	}
	rows := []any{}
	left := c.limits.Values - 1
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, notCSV(err)
		}
		line, _ := r.FieldPos(0)
		if left -= 1 + len(record); left < 0 {
			return nil, faultAt(fmt.Sprintf("line %d", line), "more than %d values", c.limits.Values)
		}
		if columns != nil && len(record) != len(columns) {
			return nil, faultAt(fmt.Sprintf("line %d", line), "%d columns, expected %d", len(record), len(columns))
		}
		rows = append(rows, c.row(columns, record))
	}
}

func (c csvCodec) readHeader(r *csv.Reader) ([]string, error) {
	record, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("empty: expected a header")
	}
	if err != nil {
		return nil, notCSV(err)
	}
	columns := slices.Clone(record)
	seen := map[string]bool{}
	for i, name := range columns {
		line, column := r.FieldPos(i)
		place := fmt.Sprintf("line %d, column %d", line, column)
		if name == "" {
			return nil, faultAt(place, "a column without a name")
		}
		if seen[name] {
			return nil, faultAt(place, "the column %q is there twice", text.Clip(name, 40))
		}
		seen[name] = true
	}
	return columns, nil
}

func (c csvCodec) row(columns, record []string) any {
	if columns == nil {
		row := make([]any, len(record))
		for i, cell := range record {
			row[i] = c.cell(cell)
		}
		return row
	}
	row := make(map[string]any, len(record))
	for i, cell := range record {
		row[columns[i]] = c.cell(cell)
	}
	return row
}

func (c csvCodec) cell(s string) any {
	if c.numbers {
		return asNumbers(s)
	}
	return s
}

// notCSV gives an error of encoding/csv its place in our words.
func notCSV(err error) error {
	if at := (*csv.ParseError)(nil); errors.As(err, &at) {
		return &fault{place: fmt.Sprintf("line %d, column %d", at.Line, at.Column), err: at.Err}
	}
	return err
}

func (c csvCodec) encode(any) ([]byte, error) { return nil, c.checkEncode() }

func (csvCodec) checkEncode() error { return errNotEncoded }
