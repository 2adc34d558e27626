package format_test

import (
	"encoding/json"
	"fmt"

	"devicetwin/wire/format"
)

// A LoRaWAN network server puts the bytes of a device as base64 into a JSON document.
func ExampleFormat_Decode() {
	document, err := format.Compile(format.Spec{Format: "json"})
	if err != nil {
		panic(err)
	}
	uplink, err := format.Compile(format.Spec{Format: "bytes", Encoded: "base64", Layout: []format.Field{
		{Name: "temperature", Type: "i16", Scale: 0.01},
		{Name: "humidity", Type: "u8", Scale: 0.5},
		{Name: "alarm", Type: "bool", Bits: 1},
		{Name: "battery", Type: "bits", Bits: 7},
	}})
	if err != nil {
		panic(err)
	}
	received, err := document.Decode([]byte(`{"devEui":"0004a30b001c0530","data":"CSlkyA=="}`))
	if err != nil {
		panic(err)
	}
	data := received.(map[string]any)["data"].(string)
	values, err := uplink.Decode([]byte(data))
	encoded, _ := json.Marshal(values)
	fmt.Println(string(encoded), err)
	_, err = uplink.Decode([]byte(data[:4]))
	fmt.Println(err)
	// Output:
	// {"alarm":true,"battery":72,"humidity":50,"temperature":23.45} <nil>
	// bytes: byte 3, alarm: the field ends with byte 3, the payload has 3 bytes
}

func ExampleFormat_Encode() {
	f, err := format.Compile(format.Spec{Format: "keyvalue", Separator: ";"})
	if err != nil {
		panic(err)
	}
	payload, err := f.Encode(map[string]any{"target": 21.5, "mode": "slow start"})
	fmt.Println(string(payload), err)
	// Output: mode=slow start;target=21.5 <nil>
}

func ExampleCompile() {
	_, err := format.Compile(format.Spec{Format: "bytes", Compressed: "zip", Layout: []format.Field{{Name: "t", Type: "int16"}}})
	fmt.Println(err)
	// Output:
	// compressed: expected gzip, zlib, deflate, auto or none, found "zip"
	// layout[0].type: expected u8, i8, u16, i16, u24, i24, u32, i32, u64, i64, f32, f64, bool, bits, text or bytes, found "int16"
}
