package source

import "bytes"

// maxNesting is how deep the brackets of a file, and the lists that begin on
// one line, may be nested. The parser recurses, and slows down, with each.
const maxNesting = 1000

// tooDeep is the line on which a file is nested deeper than maxNesting, or 0. It
// also counts brackets within strings: nobody writes that many.
func tooDeep(src []byte) int {
	depth, line := 0, 0
	for content := range bytes.Lines(src) {
		line++
		dashes := 0
		for i, c := range content {
			switch c {
			case '[', '{':
				depth++
			case ']', '}':
				depth = max(0, depth-1)
			case '-', '?':
				if i+1 < len(content) && content[i+1] == ' ' {
					dashes++
				}
			}
			if depth > maxNesting || dashes > maxNesting && c != ' ' {
				return line
			}
		}
	}
	return 0
}
