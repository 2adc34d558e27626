// Package pattern matches sequences of events of one device, in the words and
// with the results of Apache Flink CEP, which share their meaning with SQL
// MATCH_RECOGNIZE (ISO/IEC 19075-5): steps, quantifiers, contiguity, within,
// skip strategies, and absence.
//
// It is pure: no clock, no I/O, no goroutines. A [Spec] is compiled into a
// [Matcher], which never changes and may be used from any number of goroutines.
// What is open for one device is a [State], an immutable value that is written as
// JSON. Step processes an event, and Advance lets time pass:
//
//	m, err := pattern.Compile(spec)
//	var s pattern.State                   // nothing open
//	s, result := m.Step(s, event)         // s itself is returned if nothing changed
//	if at, ok := m.Deadline(s); ok {      // something happens at that time without an event
//		s, result = m.Advance(s, at)
//	}
//
// # Meaning
//
// A match gives every step its events, in the order of the steps. Any event may
// begin a match, whatever else is open. From an event that was taken to the
// next one that is taken:
//
//   - strict (next): nothing lies between them.
//   - relaxed (followedBy): nothing lies between them that the awaited step
//     would have taken; other events are passed over.
//   - any (followedByAny): anything may lie between them, so that each later
//     event gives a further match.
//
// A step takes one event, or as many as Times says. Between the events of one
// step contiguity is relaxed, whatever the contiguity into the step is;
// Consecutive makes it strict and Combinations makes it any. An Optional step
// may be left out. A step that may take more and may also be left goes both
// ways: "a b+ c" on "a b1 b2 c" gives {a b1 b2 c} and {a b1 c} if nothing is
// skipped. Greedy forbids the second: what the step could take is never passed
// over or taken by what follows it.
//
// A group is a sequence that is taken as a whole, in as many rounds as its Times says.
// The contiguity into it is that into its first step; between rounds it is relaxed,
// strict or any, as between the events of a step. A negation after it is in force whenever
// a round is complete. Which rounds are left and which go on, too, goes both ways, so that
// the same events may be divided into rounds in several ways, each of which is a match.
//
// Until ends a loop: the event that satisfies it and those after it are not taken as
// further ones of the step, or in the group. What waits to go on after the loop goes on
// waiting. A group that has not begun, or is within a round, can no longer be completed.
//
// A negated step takes nothing. NotNext: the event directly after the step
// before it must not satisfy the condition. NotFollowedBy: no event from there
// to the next event that is taken may. If it follows a step that takes several
// events, it is in force from the first of them. An event that satisfies the
// condition ends the partial match even if a later step would have taken it. At
// the end of a pattern, NotNext completes with the next event, and
// NotFollowedBy completes on time: at Within after the first event, or at its
// own Gap after the last one, whichever comes first.
//
// Within bounds the time from the first to the last event, Gap of a step the
// time from the event taken before to each event that the step takes. Both are
// exclusive, as in Flink: an event exactly Within after the first is too late.
// Times count in whole milliseconds. An event may be of a time before the one that was
// taken last; then, too, Within and Gap bound the time between them.
//
// Events may have the time of their arrival, on a clock of its own, in addition. It
// changes nothing but the Deadlines: what has to be found without another event is
// waited for by arrivals, from those of the events that were taken.
//
// # Order and skipping
//
// Matches are found in the order of their first events. Of those that begin and
// complete together, the one comes first that stays longer in the earlier step.
// A skip strategy (other than none) then takes away what overlaps: see [Skip].
// A match that completes while a partial match that began earlier is still open
// waits for it, since that one, once complete, may skip it. Flink does the same;
// Within bounds the wait.
//
// # Bounds
//
// At most MaxPartials partial matches are open. Beyond that the oldest of those
// that wait for the same thing is dropped, at the most crowded place of the
// pattern, so that a flood of beginnings cannot push out the one partial match
// that had come far. What is dropped is counted in Result.Dropped. Without
// Within, a partial match that took nothing for MaxIdle is dropped, too.
//
// Partial matches that can no longer make a difference are not kept at all: with
// the default skip strategy, and conditions that read only the event itself,
// "a+ b+ c" needs one partial match for each beginning, and without Within one
// for each place in the pattern, however long the stream. A condition that reads
// only the event is evaluated at most once per event. Nothing of an event is
// kept but what Keep of its step returns; MaxKept bounds how many per step, and
// Result.Displaced names the steps where it did.
//
// # Source
//
// Agrawal et al., "Efficient Pattern Matching over Event Streams", SIGMOD 2008,
// for the contiguity strategies; the Flink CEP documentation ("Pattern API",
// "After Match Skip Strategy") and its NFA for the results.
//
// Where the standards differ, Flink counts: quantifiers are reluctant in addition to
// greedy (both matches are found) and contiguity is relaxed, where SQL has greedy and
// strict.
//
// Known differences to Flink, all in corner cases that it does not define:
//
//   - An event that satisfies a negated condition ends the partial match, even if the
//     last step would have taken it. There Flink finds the match; before any other step
//     it does not.
//   - Matches that end together are in the order described above. In Flink it is that of
//     its queues.
//   - An expired partial match is reported once per first event instead of once per branch.
//   - Gap also bounds the events within a step.
//   - Events are processed as they come, whatever their times; Flink sorts them first.
//   - What follows a group by strict contiguity follows its last event directly. In Flink,
//     events may lie between that a further round, or an optional step of the group, passes
//     over.
//   - Consecutive and Combinations of the first step of a group are its own, and greedy
//     means in a group what it means outside; in Flink the group's strategy replaces the
//     step's. A group at the beginning of a group is entered by the contiguity of the outer
//     one; in Flink it is strict.
//   - Until of a group ends the groups in it as well.
//   - Where both a further round and what follows pass over an event, Flink finds the same
//     match more than once.
//   - An absence at the end comes on time. After a loop, Flink needs another event first.
//   - SkipToFirst and SkipToLast of a step that took nothing discard nothing, and never fail.
//   - Partial matches are bounded.
package pattern
