package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// CompletionCommand is "devicetwin completion".
type CompletionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"Shell: ${enum}. In bash: source <(devicetwin completion bash)."`
}

// completionScripts ask the command itself for what fits; where nothing does,
// the shell completes file names.
var completionScripts = map[string]string{
	"bash": `_%[1]s() {
	local IFS=$'\n'
	COMPREPLY=($(%[1]s complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _%[1]s %[1]s
`,
	"zsh": `#compdef %[1]s
_%[1]s() {
	local -a fits
	fits=("${(@f)$(%[1]s complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	if [[ -n ${fits[1]} ]]; then compadd -- "${fits[@]}"; else _files; fi
}
compdef _%[1]s %[1]s
`,
	"fish": `complete -c %[1]s -a '(%[1]s complete (commandline -opc)[2..] (commandline -ct | string collect --allow-empty) 2>/dev/null)'
`,
}

// Run prints the script.
func (c *CompletionCommand) Run(streams Streams, parsed *kong.Context) error {
	_, err := fmt.Fprintf(streams.Out, completionScripts[c.Shell], parsed.Model.Name)
	return err
}

// CompleteCommand answers the scripts: the words so far, the last of them the
// one to be completed.
type CompleteCommand struct {
	Words []string `arg:"" optional:""`
}

// Run prints what fits, one a line.
func (c *CompleteCommand) Run(streams Streams, parsed *kong.Context) error {
	for _, word := range complete(parsed.Model.Node, c.Words) {
		fmt.Fprintln(streams.Out, word)
	}
	return nil
}

// complete finds what may be at the end of the words.
func complete(root *kong.Node, words []string) []string {
	if len(words) == 0 {
		words = []string{""}
	}
	node := root
	var open *kong.Flag // whose value comes next
	for _, word := range words[:len(words)-1] {
		switch child := childOf(node, word); {
		case open != nil:
			open = nil
		case strings.HasPrefix(word, "-"):
			if flag := flagOf(node, word); flag != nil && !flag.IsBool() {
				open = flag
			}
		case child != nil:
			node = child
		}
	}
	last := words[len(words)-1]
	var candidates []string
	switch {
	case open != nil:
		candidates = open.EnumSlice()
	case strings.HasPrefix(last, "-"):
		for _, group := range node.AllFlags(true) {
			for _, flag := range group {
				candidates = append(candidates, "--"+flag.Name)
			}
		}
	default:
		candidates = wordsOf(node)
	}
	candidates = slices.DeleteFunc(candidates, func(s string) bool { return s == "" || !strings.HasPrefix(s, last) })
	slices.Sort(candidates)
	return slices.Compact(candidates)
}

// wordsOf are the subcommands, or else the values that an argument can have.
func wordsOf(node *kong.Node) []string {
	var words []string
	for _, child := range node.Children {
		if child.Type == kong.CommandNode && !child.Hidden {
			words = append(words, child.Name)
		}
	}
	for _, argument := range node.Positional {
		words = append(words, argument.EnumSlice()...)
	}
	return words
}

func childOf(node *kong.Node, word string) *kong.Node {
	for _, child := range node.Children {
		if child.Type == kong.CommandNode && child.Name == word {
			return child
		}
	}
	return nil
}

// flagOf finds a flag without its value: one as --flag=value has it already.
func flagOf(node *kong.Node, word string) *kong.Flag {
	for _, group := range node.AllFlags(false) {
		for _, flag := range group {
			if word == "--"+flag.Name || flag.Short != 0 && word == "-"+string(flag.Short) {
				return flag
			}
		}
	}
	return nil
}
