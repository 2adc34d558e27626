package dialect

import (
	"maps"
	"slices"

	"devicetwin/device"
	"devicetwin/internal/schema"
	"devicetwin/wire/format"
)

// Schema is the JSON Schema (draft 2020-12) of the file of a dialect, for editors that complete
// and check while one types. It is made from the same tables of keys as Load, and knows less: it
// does not check templates, expressions, and what excludes what. Its output for this version is
// dialects/dialect.schema.json.
func Schema() ([]byte, error) {
	root := schema.Required(schema.WithKeys(dialectKeys, dialectWords), "dialect", "topics")
	return schema.File(root, "devicetwin dialect", "What devices mean that were made for something else: topics and payloads. Reference: docs/dialects.md", schema.Words{
		"topic":      schema.Required(schema.WithKeys(slices.Concat(topicKeys, messageKeys), schema.Merged(topicWords, messageWords)), "topic"),
		"message":    schema.Required(schema.WithKeys(messageKeys, messageWords), "channel"),
		"expression": {"type": []string{"string", "number", "boolean"}, "description": "A CEL expression of payload, topic, item and inside; where something is sent, of command, value or desired instead of payload."},
		"kind":       schema.Described(schema.Schema{"type": "string", "pattern": device.KindPattern}, "The kind of the entity whose message it is."),
		"id":         schema.Described(anyText, "The id of the device: a template of variables in the topic or in vars, such as {site}:{machine}."),
		"payload":    schema.Described(schema.AnyOf(formatName, schema.Required(schema.WithKeys(formatKeys, formatWords), "format")), "How payloads are written: the name of a format, or its options."),
		"field":      schema.WithKeys(layoutKeys, layoutWords),
		"inside": schema.Described(schema.Required(schema.WithKeys(insideKeys, schema.Merged(formatWords, schema.Words{
			"member": schema.Described(schema.Ref("expression"), "The string that is written so, such as payload.data."),
		})), "member", "format"), "A part of the payload that is written in another format; expressions have it as inside."),
		"time": schema.AnyOf(schema.Schema{"type": "null"}, schema.Required(schema.WithKeys(timingKeys, timingWords), "at")),
		"absent": schema.Described(schema.OneOrList(schema.Schema{"type": []string{"string", "number", "boolean", "null"}}),
			"Values that stand for a missing one."),
		"status":  schema.Described(schema.WithKeys(wordKeys, statusWords), "The words that say whether the device is connected."),
		"awake":   schema.Described(schema.Schema{"type": []string{"string", "null"}}, "How long the device listens after each of its messages, such as 10s, because it sleeps between them; null: always."),
		"command": schema.Required(schema.WithKeys(commandKeys, schema.Merged(outgoingWords, commandWords)), "topic"),
		"desired": schema.Required(schema.WithKeys(desiredKeys, schema.Merged(outgoingWords, desiredWords)), "topic"),
		"ask":     schema.Required(schema.WithKeys(questionKeys, schema.Merged(outgoingWords, questionWords)), "at", "topic"),
	})
}

var (
	anyText    = schema.Schema{"type": "string"}
	anyWord    = schema.Schema{"type": []string{"string", "number", "boolean"}}
	yesNo      = schema.Schema{"type": "boolean"}
	anyData    = schema.AnyOf(schema.Ref("expression"), schema.Map(schema.Ref("expression")))
	formatName = schema.Enum(format.Names())
)

var dialectWords = schema.Words{
	"dialect":     schema.Described(schema.Schema{"type": "string", "pattern": dialectName.String()}, "Name of the dialect."),
	"description": schema.Described(anyText, "A line for people; it changes nothing."),
	"discovery": schema.Described(schema.Required(schema.WithKeys(discoveryKeys, schema.Words{
		"prefix": schema.Described(anyText, "The first levels of the topics of discovery messages, such as homeassistant."),
	}), "prefix"), "What is on which topics is learned from Home Assistant's discovery messages; subscribe says which are read."),
	"subscribe": schema.Described(schema.OneOrList(anyText), "Topic filters to subscribe to, in place of those of the templates."),
	"kind":      schema.Described(schema.Ref("kind"), "The kind of the entities, where a message says nothing else; device by default."),
	"id":        schema.Described(schema.Ref("id"), "The id of devices, where a message says nothing else; {id} by default."),
	"payload":   schema.Ref("payload"),
	"time":      schema.Described(schema.Ref("time"), "Where the device's own time is, where a message says nothing else."),
	"absent":    schema.Ref("absent"),
	"status":    schema.Ref("status"),
	"awake":     schema.Ref("awake"),
	"topics":    schema.Described(schema.List(schema.Ref("topic")), "What messages mean, by their topics; the most exact template that matches is used."),
	"commands":  schema.Described(schema.List(schema.Ref("command")), "How commands are sent; the first entry that takes a command is used."),
	"desired":   schema.Described(schema.List(schema.Ref("desired")), "How desired properties are sent that differ from what is reported; the first entry that takes a property is used."),
	"ask":       schema.Described(schema.List(schema.Ref("ask")), "What devices are asked after their birth, or at the start of a bridge."),
}

var topicWords = schema.Words{
	"topic": schema.Described(schema.OneOrList(anyText),
		"Templates of topics: {name} for a level or a part of one, {name...} for several, + and # for levels without a name."),
	"payload":  schema.Ref("payload"),
	"messages": schema.Described(schema.List(schema.Ref("message")), "Several messages that are made of one; each that says something is taken."),
}

var messageWords = schema.Words{
	"channel": schema.Described(schema.Enum(channelNames), "What the message is: a reading, an event, a birth or last will, the device's state, or nothing."),
	"kind":    schema.Ref("kind"),
	"id":      schema.Ref("id"),
	"vars":    schema.Described(schema.Map(schema.Ref("expression")), "Variables that are computed, for the id and the name."),
	"inside":  schema.Ref("inside"),
	"each":    schema.Described(schema.Ref("expression"), "A list, each of whose elements, item, is a message; or an object, which is one."),
	"when":    schema.Described(schema.Ref("expression"), "There is a message only if this holds."),
	"name":    schema.Described(anyText, "Name of an event: a string with variables."),
	"data": schema.Described(anyData,
		"The data: an expression, or one for each member; by default the payload, or the item."),
	"only": schema.Described(schema.OneOrList(anyText), "Members of the data that are taken: names, or beginnings of names and then *."),
	"omit": schema.Described(schema.OneOrList(anyText), "Members of the data that are not taken."),
	"number": schema.Described(schema.RequiredOne(schema.WithKeys(numberKeys, schema.Words{
		"epoch": schema.Described(schema.Ref("expression"), "An integer that rises when the device numbers from 1 again."),
		"seq":   schema.Described(schema.Ref("expression"), "The number of the message, from 1."),
		"id":    schema.Described(schema.Ref("expression"), "In place of seq, an id that the sender gives the message: of two with the same, one counts."),
	}), "seq", "id"), "How the device numbers its messages, or by what else a copy is known."),
	"time":    schema.Described(schema.Ref("time"), "Where the device's own time is; null: nowhere."),
	"absent":  schema.Ref("absent"),
	"status":  schema.Ref("status"),
	"relayed": schema.Described(yesNo, "Somebody else speaks of the device: it does not show that the device is up."),
	"awake":   schema.Ref("awake"),
}

var timingWords = schema.Words{
	"at":   schema.Described(schema.Ref("expression"), "The time since 1970, or an RFC 3339 string."),
	"unit": schema.Described(schema.Enum(slices.Sorted(maps.Keys(units))), "The unit of a number; by default its size says it."),
	"zone": schema.Described(anyText, "The time zone of strings without an offset, such as Europe/Berlin."),
}

var statusWords = schema.Words{
	"online":  schema.Described(schema.OneOrList(anyWord), "Words that mean that it is connected, in upper or lower case."),
	"offline": schema.Described(schema.OneOrList(anyWord), "Words that mean that it is not."),
}

var formatWords = schema.Words{
	"format":     formatName,
	"encoded":    schema.Described(schema.Enum([]string{"none", "base64", "hex"}), "What is around everything."),
	"compressed": schema.Described(schema.Enum([]string{"none", "auto", "gzip", "zlib", "deflate"}), "What is around the format."),
	"numbers":    schema.Described(yesNo, "Strings that hold numbers become numbers: json, text, keyvalue, csv."),
	"word":       schema.Described(anyText, "The member that a payload stands for which is one value, or a bare word: json."),
	"separator":  schema.Described(anyText, "What separates columns of csv, or pairs of keyvalue."),
	"assign":     schema.Described(anyText, "What separates a key from its value: keyvalue."),
	"header":     schema.Described(yesNo, "The first line names the columns: csv."),
	"columns":    schema.Described(schema.OneOrList(anyText), "Names of the columns: csv."),
	"descriptor": schema.Described(anyText, "File of a descriptor set, next to the dialect: protobuf."),
	"message":    schema.Described(anyText, "Full name of the message: protobuf."),
	"layout":     schema.Described(schema.OneOrList(schema.Ref("field")), "The fields of a payload of bytes, in order."),
}

var layoutWords = schema.Words{
	"name":   schema.Described(anyText, "Name of the field; without one, it is passed over."),
	"type":   schema.Described(anyText, "Type, such as u8, i16 or f32."),
	"endian": schema.Described(anyText, "big or little."),
	"at":     schema.Described(schema.Whole(0, maxLayout), "Its place in the payload, in bytes; by default behind the field before."),
	"length": schema.Described(schema.Whole(0, maxLayout), "Its length in bytes."),
	"bits":   schema.Described(schema.Whole(0, maxLayout), "Its length in bits."),
	"signed": schema.Described(yesNo, "Whether bits are a number with a sign."),
	"scale":  schema.Described(schema.Schema{"type": "number"}, "What the number is multiplied by."),
	"offset": schema.Described(schema.Schema{"type": "number"}, "What is added to it."),
}
