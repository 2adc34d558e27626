// Package jinja evaluates a small part of Jinja2, in which Home Assistant's discovery messages
// say what payloads mean: value_template and its kind.
//
// There are output and if blocks, comments, literals, names, members by . and [], arithmetic,
// comparisons, in, is, and, or, not, ~, a condition with if and else, the filters and tests in
// filters.go, float(), int() and the method get of a mapping. There are no loops, assignments, macros
// or functions of Home Assistant such as states() and now(): a template with one of them is not
// compiled, so nothing is evaluated that could mean something else.
//
// Results are strings, as Home Assistant makes them: with Python's spelling of numbers, True, False and None,
// and without spaces around them. The rules are those of the documentation of Jinja2 3.1
// (templates) and of Home Assistant (templating).
//
// Nothing that a template or a payload has makes an evaluation long or large: a template is bounded
// in bytes, nodes and depth, has no loops, and each string that it makes is bounded.
package jinja
