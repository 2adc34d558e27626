package format

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestJSON(t *testing.T) {
	checkDecoding(t, compile(t, Spec{Format: "json", Limits: Limits{Depth: 3, Values: 6}}), []decoding{
		{payload: `{"a":[1,true,null,"x"]}`, want: `{"a":[1,true,null,"x"]}`},
		{payload: "\ufeff 23.5\r\n", want: `23.5`},
		{payload: `"23.5"`, want: `"23.5"`},
		{payload: `{"a":1,"a":2}`, want: `{"a":2}`}, // the last one, as everywhere in JSON
		{payload: `"\ud800"`, want: `"\ufffd"`},
		{payload: `9007199254740993`, want: `9007199254740992`},
		{payload: `[[],[],{},{},[]]`, want: `[[],[],{},{},[]]`},
		{payload: `["[[[[,,,,,,,","\"[[[[,,,,,,"]`, want: `["[[[[,,,,,,,","\"[[[[,,,,,,"]`},
		{payload: ``, err: "json: empty: expected a JSON value"},
		{payload: " \n", err: "json: empty"},
		{payload: `[[[[`, err: "json: line 1, column 4: nested deeper than 3"},
		{payload: "[1,2,\n3,4,5,6]", err: "json: line 2, column 6: more than 6 values"},
		{payload: "{\n \"a\": 1,\n \"b\": x}", err: "json: line 3, column 7: invalid character 'x'"},
		{payload: `{"a":1}{`, err: "json: line 1, column 8: invalid character '{' after top-level value"},
		{payload: `{"a":1`, err: "json: line 1, column 6: unexpected end of JSON input"},
		{payload: `1e999`, err: "json: line 1, column 1: number 1e999 is beyond the largest number"},
		{payload: `{"a": -1e999}`, err: "json: line 1, column 7: number -1e999"},
		{payload: `NaN`, err: "json: line 1, column 1: invalid character 'N'"},
		{payload: "{\"a\":\"\xff\"}", err: "json: byte 6: not valid UTF-8"},
		{payload: "\xff\xfe{\x00}\x00", err: "byte order mark (BOM) of UTF-16"},
		{payload: "\xff\xfe", err: "byte order mark (BOM) of UTF-16"},
	})
}

func TestJSONWithNumbersInStrings(t *testing.T) {
	checkDecoding(t, compile(t, Spec{Format: "json", Numbers: true}), []decoding{
		{payload: `{"a":["23.5"," -1e3 ",{"b":"0"}],"c":"5"}`, want: `{"a":[23.5,-1000,{"b":0}],"c":5}`},
		{payload: `"12"`, want: `12`},
		{payload: `["nan","-Inf","INFINITY","NaN"]`, want: `[null,null,null,null]`},
		{payload: `["007","+49","1.","0x10","1_0","","-","ON","nano","1e999","--1","info"]`, want: `["007","+49","1.","0x10","1_0","","-","ON","nano","1e999","--1","info"]`},
	})
}

func TestJSONOrAWord(t *testing.T) {
	f := compile(t, Spec{Format: "json", Word: "state", Limits: Limits{Depth: 3, Values: 6}})
	checkDecoding(t, f, []decoding{
		{payload: `{"state":"online"}`, want: `{"state":"online"}`},
		{payload: `online`, want: `{"state":"online"}`},
		{payload: "\ufeff slow start\r\n\x00", want: `{"state":"slow start"}`},
		{payload: `"online"`, want: `{"state":"online"}`},
		{payload: `true`, want: `{"state":true}`},
		{payload: ` 21.5 `, want: `{"state":21.5}`},
		{payload: `null`, want: `{"state":null}`},
		{payload: `nan`, want: `{"state":"nan"}`},
		{payload: `1e999`, want: `{"state":"1e999"}`},
		{payload: `007`, want: `{"state":"007"}`},
		{payload: `[1]`, want: `[1]`},
		{payload: `{"state":`, err: "json: line 1, column 9: unexpected end"},
		{payload: `"online`, err: "json: line 1, column 7: unexpected end"},
		{payload: `[online]`, err: "json: line 1, column 2: invalid character 'o'"},
		{payload: `[[[[`, err: "nested deeper than 3"},
		{payload: ``, err: "json: empty"},
		{payload: "\x00", err: "json: line 1, column 1: invalid character"},
		{payload: "\xff", err: "not valid UTF-8"},
	})
	checkEncoding(t, f, []encoding{{value: `{"state":"on"}`, want: `{"state":"on"}`}, {value: `[1]`, want: `[1]`}, {value: `"on"`, err: "expected an object or a list, found a string"}})
}

func FuzzDecodeJSONOrAWord(f *testing.F) {
	fuzz(f, Spec{Format: "json", Word: "state"}, `online`, `"online"`, `{"state":1}`, `[1]`, `1e999`, "\x00", `"`, ` {`)
}

func TestJSONRoundTrip(t *testing.T) {
	f := compile(t, Spec{Format: "json"})
	rapid.Check(t, func(t *rapid.T) { checkRoundTrip(t, f, values().Draw(t, "value")) })
}

func FuzzDecodeJSON(f *testing.F) {
	fuzz(f, Spec{Format: "json", Numbers: true}, `{"a":[1,"2",{"b":null}]}`, `23.5`, `[[[[`, "\ufeff{}", `"\ud83d"`, `[1e999]`, "{\"\xff\":1}", strings.Repeat("[", 10))
}

const readingJSON = `{"seq":1017,"ts":1772366399123,"temperature":21.375,"pressure":1013.25,"vibration":{"x":0.1,"y":0.02,"z":9.81},"mode":"auto","on":true}`

func BenchmarkDecodeJSON(b *testing.B) { bench(b, Spec{Format: "json"}, readingJSON) }
