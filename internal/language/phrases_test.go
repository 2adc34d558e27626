package language

import (
	"regexp"
	"strings"
)

// phrase is a way of putting things that nobody searches for.
type phrase struct {
	bad    *regexp.Regexp
	unless *regexp.Regexp // what may stand at the same place, or nil
	better string
}

// ban makes a phrase. It ignores case, and a space also stands for the end of
// a line and the mark of a comment on the next.
func ban(bad, better string, unless ...string) phrase {
	compile := func(s string) *regexp.Regexp {
		return regexp.MustCompile(`(?i)` + strings.ReplaceAll(s, " ", `[\s/#*>]+`))
	}
	p := phrase{bad: compile(bad), better: better}
	if len(unless) > 0 {
		p.unless = compile(unless[0])
	}
	return p
}

// phrases is what the text of this repository must not contain. Each stands
// for its kind: the pattern is as wide as it can be without false alarms.
var phrases = []phrase{
	// Idioms that are translated word by word.
	ban(`\b(is|are|was|were|be) no [a-z]+`, `"is not a …", "must be …"`,
		`\bthere (is|are|was|were|will be|would be|must be|may be|can be|should be) no |\bno (longer|more than|less than|fewer|larger|greater|later|earlier|higher|lower|better|worse|different)\b`),
	ban(`\b(is|are) none\b`, `"is not one", "does not exist"`, `\bthere (is|are) none\b`),
	ban(`\bfrom \d+ on\b`, `"at least …"`, `\bfrom \d+ on (linux|other)\b`),
	ban(`\banew\b`, `"again"`),
	ban(`\bfor ever\b`, `"forever"`),
	ban(`\bfor good\b`, `"permanently"`),
	ban(`\ball the same\b`, `"anyway", "nevertheless"`),
	ban(`\bwork(s|ed|ing)? off\b`, `"process"`),
	ban(`\bmend(s|ed|ing)?\b`, `"fix"`),
	ban(`\bput(s|ting)? (it |them |that )?right\b`, `"fix"`),
	ban(`\bhopeless(ly)?\b`, `"permanent"`),
	ban(`\bby (itself|themselves|himself|herself)\b`, `"automatically", "on its own", "separately"`),
	ban(`\bbeside\b`, `"next to", "in addition to"`),
	ban(`\b(is|are|was|were|be|been|being|gets?) told\b`, `"is reported", "is informed"`, `\btold (to|where|when|otherwise)\b`),
	ban(`\btells\b`, `"reports", "shows", "says"`),
	ban(`\btold apart\b|\btells? (them |it )?apart\b`, `"distinguish"`),
	ban(`\bapart\b`, `"separately"`, `\b(drift|drifts|far) apart\b|\bapart from\b`),
	ban(`\bshall\b`, `"must", "should", "will"`),
	ban(`\bfor how long\b`, `"how long", "time until …"`),
	ban(`\bstands? (in|on|at|there|here|behind|before|below|above|beneath|under|next|with|between)\b`, `"is in", "is below"`),
	ban(`\bcom(e|es|ing) again\b`, `"is delivered again", "is repeated"`),
	ban(`\blet go\b`, `"is disconnected", "is released"`),
	ban(`\bloudly\b`, `"with a warning"`),
	ban(`\beverybody .*do everything\b|\blets everybody\b`, `"anyone … has admin access"`),
	ban(`\bwho comes\b`, `"authenticate"`),

	// What happened to something.
	ban(`\bwhat (came|comes|has come|will come|would come|became|becomes|has become) of\b|\bcame of it\b|\bto come of it\b`, `"results", "the result"`),
	ban(`\bdoubled\b`, `"duplicated"`, `\bdoubled (each|every) `),
	ban(`\b(everything|all|whatever) that is wrong\b`, `"every error"`),
	ban(`\b(is|are|was|were|be|been) (not )?clean\b`, `"has violations", "has no violations", "passed"`),
	ban(`\b(is|are|was|were|be|been) heard\b|\bheard (of|from)\b`, `"is received"`),
	ban(`\blooked at once\b`, `"polled once per …"`),

	// Things and their state.
	ban(`\b(temporal|broker|influxdb|server|bridge|worker|database)s? (is|are|was|were) (back|there)\b`, `"connected to …", "reconnected to …", "is available"`),
	ban(`\b(is|are|was|were|be) away\b`, `"is unavailable", "is down", "is offline"`),
	ban(`\b(does not|do not|did not|doesn't|don't|cannot|can't) take (signals|messages|batches|points)\b|\btakes? no (more )?(signals|messages|batches|points)\b`, `"is not accepting …"`),
	ban(`\bdesired of\b`, `"its desired state", "desired properties"`),
	ban(`\bwish(es)?\b`, `"desired property", "change"`, `\byou wish\b`),
	ban(`\bthe house\b|\brules? of the house\b`, `"layout", "layering rules"`),
	ban(`\broads?\b`, `"channel", "path"`),
	ban(`\ba text\b|\btexts\b`, `"a string", "strings"`, `\ba text (file|editor|field|box)`),
	ban(`\bjudg(e|es|ed|ing)\b`, `name what is decided: "filter", "check", "decide"`),
	ban(`\borphan(s|ed)?\b`, `"unacknowledged"`),
	ban(`\bgreet(s|ed)?\b`, `"resend the delta"`),
}

// names are names in code that say less than their better ones.
var names = map[string]string{
	"greet":      "resendDelta",
	"because":    "setCause",
	"hearAnswer": "recordAck",
	"apart":      "spreadTimestamps",
	"desk":       "batcher",
	"orphans":    "unacked",
	"sight":      "filterState",
	"turnDown":   "reject",
}
