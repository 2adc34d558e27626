// Package script runs scenario scripts: plain text that says what a
// device sends and when, and below each input what the model has to do.
//
//	model pump.yaml
//
//	test A crash loop brings new credentials
//	0s     status {status: boot}
//	+10s   status {status: boot}
//	+10s   status {status: boot}
//	+5s    telemetry {code: 117}
//	         matched crash_loop
//	         state reprovisioning
//	         invoke reprovision {reason: crash_loop}
//	+2s    done reprovision {credential: c1}
//	         state awaiting_birth
//	         context {attempts: 1}
//	+15s   wait
//	         state reprovisioning
//	         invoke reprovision {reason: crash_loop}
//
// Time is virtual: thirty days take milliseconds.
//
// # Lines
//
// A line that begins in the first column is an input. It names a time, since
// the start of the test or, with +, since the line before, and what happens then:
//
//	10s telemetry {…}          the device publishes telemetry
//	10s status {…}             … its status
//	10s events NAME {…}        … an event
//	10s ack COMMAND {…}        … the answer to a command
//	10s members NAME {…}       a member of the group reports: entered, left, silent or alive
//	10s event NAME {…}         an event, named as the model names it
//	10s done ACTIVITY {…}      an activity that the model invoked returns
//	10s failed ACTIVITY text   … or fails, for this reason; in double quotes, it is a string of JSON
//	10s done process {…}       the first event that waits is processed, with this result
//	10s failed process text    … or it has failed permanently
//	10s wait                   nothing; time has passed
//	+1m x30 telemetry {…}      thirty times, each a minute after the one before
//	3h sent 10m status {…}     arrives after three hours, with a ts of ten minutes after the start
//
// Messages become events by the model's own rules. `test` begins a test, which
// starts a new device; `start`, below it, says when that is, as in
// start 2026-03-28T22:00:00+01:00, for models that know the time of day (without it
// 2026-01-01, 00:00 UTC); `model`, once and first, names the model's file from the
// script's folder. Without it, pump.script is about pump.yaml in the same folder.
//
// A line that begins with white space is an expectation of the input above it,
// or of the start of the device if it is below `test`:
//
//	matched PATTERN          the pattern matched
//	state NAME               the state afterwards
//	command NAME {…} ttl 1h  an action, in the order of actions; so too invoke,
//	                         cancel, publish, notify, desire and process EVENT
//	log TEXT                 a line that the model logs
//	fault TEXT               an expression failed, with this string in its fault; of
//	                         another reason it is "REASON: …", as in unknown_event: …
//	context {…}              values of the context afterwards; others are free
//	window NAME {…}          values of a window afterwards; others are free
//
// Anything that is not expected is a failure: every match, every action, every
// fault and every change of state needs its line. A state may also be given where
// nothing changed. An action that is written without data in braces may have any
// data.
//
// # begins a comment, at the beginning of a line or after a space.
//
// # Use
//
// [Parse] reads a script, and its error is source.Faults. [Script.Run] runs it
// with a model; what differs is in the [Report]. [Script.Update] writes the script
// with what happened as its expectations.
package script
