// Package diff compares two versions of a model: what devices would do otherwise, and which
// messages would cost a signal.
//
//	d := diff.Compare(old, new)
//	if !d.Same() {
//		fmt.Print(d)
//	}
//
// What only one of the models has is gone or new. A state that is gone and a new one that do
// much the same are taken for one that was renamed: that is a guess, and marked as one.
// Comments, white space and the order of keys make no difference, nor do different spellings
// of a duration, a target or a list with one element.
package diff
