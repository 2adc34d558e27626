package points

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var atNine = time.Unix(0, 9)

func TestNamesOfFields(t *testing.T) {
	for object, want := range map[string]string{
		`{"humidity":55.5}`:                                  `humidity=55.5`,
		`{"humidity":"nan","temperature":20}`:                `humidity:string="nan",temperature=20`,
		`{"on":true,"off":false}`:                            `off:bool=false,on:bool=true`,
		`{"device":1,"model":2,"site":3,"time":4}`:           `device:number=1,model:number=2,site:number=3,time:number=4`,
		`{"device":"x","time":true}`:                         `device:string="x",time:bool=true`,
		`{"_field":1,"_measurement":2,"_time":3,"_value":4}`: `_field:number=1,_measurement:number=2,_time:number=3,_value:number=4`,
		`{"a:string":1,"a:bool":2,"a:number":3}`:             `a:bool:number=2,a:number:number=3,a:string:number=1`,
		`{"a:string":"x","a":"y"}`:                           `a:string="y",a:string:string="x"`,
		`{"a":{"b":1,"c":{"d":2}},"device":{"model":3}}`:     `a.b=1,a.c.d=2,device.model=3`,
		`{"a":[1,"x",{"b":true},[2]]}`:                       `a.0=1,a.1:string="x",a.2.b:bool=true,a.3.0=2`,
		`{"a.b":1,"a":{"b":2}}`:                              `a%2Eb=1,a.b=2`,
		`{"a%2Eb":1,"a%":2,"%2":3,"%2e":4}`:                  `%2=3,%2e=4,a%=2,a%252Eb=1`,
		`{"a\\b":1,"a\nb":2,"a_b":3,"\u007f":4,"\u0000":5}`:  `%00=5,%7F=4,a%0Ab=2,a%5Cb=1,a_b=3`,
		`{"":1,"a":{"":2},"%FF":3}`:                          `%25FF=3,%FF=1,a.%FF=2`,
		`{"a b":1,"a,b":2,"a=b":3,"a\"b":4,"ä":5}`:           `a\ b=1,a"b=4,a\,b=2,a\=b=3,ä=5`,
		`{"a":null,"b":{},"c":[],"d":1}`:                     `d=1`,
		`{"epoch":1,"seq":2,"ts":3,"a":{"seq":4}}`:           `a.seq=4`,
		`{"a":1,"a":2}`:                                      `a=2`,
		`{"a":{"b":1},"a":{"c":2}}`:                          `a.c=2`,
		`{"a":{"b":1},"\u0061":2}`:                           `a=2`,
		`{"a":1,"a":null,"b":1}`:                             `b=1`,
		`{"a":-0,"b":1e3,"c":1234567,"d":0.00001,"e":1.50}`:  `a=-0,b=1000,c=1.234567e+06,d=1e-05,e=1.5`,
		`{"a":"q\"b\\s\nn"}`:                                 "a:string=\"q\\\"b\\\\s\nn\"",
		`{}`:                                                 ``,
		`{"a":null}`:                                         ``,
		`[1]`:                                                ``,
		`{`:                                                  ``,
	} {
		line, ok := reading(object).Line()
		if ok {
			line = strings.TrimSuffix(strings.TrimPrefix(line, "pump,device=d,model=pump "), " 9")
		}
		if line != want || ok != (want != "") {
			t.Errorf("%s:\n     %s\nwant %s", object, line, want)
		}
	}
}

func reading(object string) Reading {
	return Reading{Model: "pump", Device: "d", Object: []byte(object), Except: []string{"epoch", "seq", "ts"}, Time: atNine}
}

// lineAndRefusals is the line of a reading with what is refused of it.
func lineAndRefusals(r Reading) (string, []Refusal) {
	var f flattener
	var refused []Refusal
	line, _ := f.line(nil, r, func(r Refusal) { refused = append(refused, r) })
	return string(line), refused
}

func TestWhatIsBeyondABoundIsReported(t *testing.T) {
	many := map[string]any{}
	for i := range 300 {
		many[fmt.Sprintf("f%03d", i)] = i
	}
	object, err := json.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	line, refused := lineAndRefusals(reading(string(object)))
	if n := strings.Count(line, "=") - 2; n != MaxFields || !strings.Contains(line, ",f255=255 ") {
		t.Errorf("%d fields: %s", n, line)
	}
	if len(refused) != 1 || refused[0] != (Refusal{"d", "pump", atNine, RefusedFields, "300 fields; a point has room for 256", "", 44}) {
		t.Errorf("too many: %+v", refused)
	}

	line, refused = lineAndRefusals(reading(`{"s":"x` + strings.Repeat("ä", 40_000) + `","t":1}`))
	if line != `pump,device=d,model=pump s:string="x`+strings.Repeat("ä", MaxString/2)+`",t=1 9` {
		t.Errorf("clipped to %d bytes", len(line))
	}
	if len(refused) != 1 || refused[0].Reason != RefusedBound || !strings.Contains(refused[0].Detail, "field s: a string of 80001 bytes") || len(refused[0].Value) != 128 {
		t.Errorf("too long: %+v", refused)
	}

	long := strings.Repeat("k", MaxFieldName)
	line, refused = lineAndRefusals(reading(`{"` + long + `":1,"` + long + `x":2,"a":{"` + long + `":{"b":[3]}},"b":4}`))
	if line != `pump,device=d,model=pump b=4,`+long+`=1 9` {
		t.Errorf("long names: %s", line)
	}
	if len(refused) != 1 || refused[0].Reason != RefusedBound || !strings.HasPrefix(refused[0].Value, "kkk") {
		t.Errorf("long names: %+v", refused)
	}
}

// The line of an object is the one that is written plainly from the decoded object.
func FuzzReading(f *testing.F) {
	for _, seed := range []string{
		`{"a":{"b":[1,"x",null,true]},"seq":1}`, `{"a":1,"a":{"b":1},"\u0061":[2]}`, `{"\ud800":1,"\ufffd":2,"":{"":3}}`,
		`{"a.b":-1.5e-300,"a":{"b":"\u0000\\\""},"%2E":0.1}`, `{"a":123456.0,"b":-0.0,"c":100000,"d":1e21,"e":0.0001,"f":0.00012,"g":999999.5}`,
		`{"time":1,"device":"x","x:number":2,"x:bool":false," ":4,"=":5,",":6}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		r := reading(string(object))
		line, ok := r.Line()
		var decoded map[string]any
		want, wanted := "", false
		if err := json.Unmarshal(object, &decoded); err == nil {
			want, wanted = plainLine(r, decoded)
		}
		if line != want || ok != wanted {
			t.Fatalf("%q:\n     %q, %v\nwant %q, %v", object, line, ok, want, wanted)
		}
	})
}

// plainLine is how a reading would be written from a decoded object, for simplicity.
func plainLine(r Reading, object map[string]any) (string, bool) {
	for _, key := range r.Except {
		delete(object, key)
	}
	values := map[string]any{}
	collect(values, "", object)
	var fields []string
	for _, name := range sortedKeys(values) {
		end := ""
		switch values[name].(type) {
		case string:
			end = ":string"
		case bool:
			end = ":bool"
		default:
			reserved := []string{"device", "model", "site", "time", "_time", "_start", "_stop", "_field", "_measurement", "_value"}
			if slices.Contains(reserved, name) || strings.HasSuffix(name, ":string") || strings.HasSuffix(name, ":bool") || strings.HasSuffix(name, ":number") {
				end = ":number"
			}
		}
		if text, ok := values[name].(string); ok && len(text) > MaxString {
			values[name] = string(clipped([]byte(text), MaxString))
		}
		if value, ok := fieldValue(values[name]); ok && len(fields) < MaxFields {
			fields = append(fields, strings.NewReplacer(",", `\,`, "=", `\=`, " ", `\ `).Replace(name)+end+"="+value)
		}
	}
	if len(fields) == 0 {
		return "", false
	}
	return fmt.Sprintf("%s,device=%s,model=%s %s %d", r.Model, r.Device, r.Model, strings.Join(fields, ","), r.Time.UnixNano()), true
}

func collect(to map[string]any, name string, value any) {
	if len(name) > MaxFieldName {
		return
	}
	within := func(key string, value any) {
		if name == "" {
			collect(to, key, value)
		} else {
			collect(to, name+"."+key, value)
		}
	}
	switch v := value.(type) {
	case nil:
	case map[string]any:
		for key, member := range v {
			within(plainKey(key), member)
		}
	case []any:
		for i, element := range v {
			within(fmt.Sprint(i), element)
		}
	default:
		to[name] = v
	}
}

func plainKey(key string) string {
	if key == "" {
		return "%FF"
	}
	var b strings.Builder
	for i := 0; i < len(key); i++ {
		escape := key[i] == '.' || key[i] == '\\' || key[i] < ' ' || key[i] == 0x7f
		if key[i] == '%' && i+2 < len(key) {
			escape = strings.IndexByte("0123456789ABCDEF", key[i+1]) >= 0 && strings.IndexByte("0123456789ABCDEF", key[i+2]) >= 0
		}
		if escape {
			fmt.Fprintf(&b, "%%%02X", key[i])
		} else {
			b.WriteByte(key[i])
		}
	}
	return b.String()
}

func sortedKeys(m map[string]any) (keys []string) {
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func TestReadingIsWritten(t *testing.T) {
	s := newInfluxServer(t, nil)
	w, stop := startWriter(t, testConfig(s.URL), nil)
	var refused []Refusal
	w.OnRefused(func(r Refusal) { refused = append(refused, r) })
	w.WriteReading("pump", "d", []byte(`{"a":1,"seq":2,"`+strings.Repeat("k", MaxFieldName+1)+`":3}`), []string{"seq"}, atNine)
	stop()
	if got := s.taken(); len(got) != 1 || got[0] != "pump,device=d,model=pump a=1 9" || len(refused) != 1 || refused[0].Device != "d" {
		t.Errorf("%q, refused: %+v", got, refused)
	}
}

func BenchmarkReading(b *testing.B) {
	r := reading(`{"epoch":1772366399,"seq":1017,"ts":1772366399123,"temperature":21.375,"pressure":1013.25,"vibration":{"x":0.1,"y":0.02,"z":9.81},"code":117,"mode":"auto","on":true}`)
	var f flattener
	var line []byte
	b.ReportAllocs()
	for b.Loop() {
		line, _ = f.line(line[:0], r, nil)
	}
}
