package dialect

import "devicetwin/internal/schema"

var outgoingWords = schema.Words{
	"kind":     schema.Ref("kind"),
	"id":       schema.Described(anyText, "The template of the ids of the devices that this is for; by default that of the file."),
	"topic":    schema.Described(anyText, "The topic to publish to: a template of variables of the id, of topics of the device, and in vars."),
	"vars":     schema.Described(schema.Map(schema.Ref("expression")), "Variables that are computed, for the topic."),
	"each":     schema.Described(schema.Ref("expression"), "A list; each of its elements, item, is a message."),
	"payload":  schema.Ref("payload"),
	"data":     schema.Described(anyData, "What is sent: an expression, or one for each member."),
	"retained": schema.Described(yesNo, "Whether the broker keeps it; by default it does not."),
	"qos":      schema.Described(schema.Whole(0, 1), "The quality of service, by default 1."),
}

var commandWords = schema.Words{
	"command":  schema.Described(schema.OneOrList(anyText), "Names of commands, or beginnings of names and then *; by default all."),
	"done":     schema.Described(schema.Enum(ends), "What ends a command: an answer, the broker's acknowledgement, or what the device reports."),
	"reported": schema.Described(anyData, "With done: reported, the state that the device then has."),
}

var desiredWords = schema.Words{
	"property": schema.Described(schema.OneOrList(anyText), "Names of properties, or beginnings of names and then *, of which each is sent separately; by default all are sent together."),
	"only":     schema.Described(schema.OneOrList(anyText), "Properties that are sent together: names, or beginnings of names and then *."),
	"omit":     schema.Described(schema.OneOrList(anyText), "Properties that are not sent."),
}

var questionWords = schema.Words{
	"at": schema.Described(schema.Enum(occasions), "When it is asked: after the birth of a device, or at the start of a bridge without a session."),
}
