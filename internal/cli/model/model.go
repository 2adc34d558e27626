// Package model is the commands for people who write models.
package model

import (
	"fmt"
	"io"
	"os"

	"devicetwin/devicefsm"
	"devicetwin/internal/cli"
	"devicetwin/internal/measure"
	"devicetwin/internal/modelfile"
)

// Command is "devicetwin model".
type Command struct {
	Check  checkCommand  `cmd:"" help:"Check model files and report every error."`
	Diff   diffCommand   `cmd:"" help:"Compare two versions of a model: what devices would do differently, and which messages would cost a signal. The exit status is 0 if they do the same, 1 if not, and 2 if one cannot be read."`
	Plan   planCommand   `cmd:"" help:"Write a plan for moving devices from one version of a model to another, or check one that a person has completed."`
	Graph  graphCommand  `cmd:"" help:"Draw a model's statechart, for Mermaid or Graphviz."`
	Test   testCommand   `cmd:"" help:"Run the scripts of models: events in, expected states and actions out."`
	Replay replayCommand `cmd:"" help:"Replay what happened to devices, from a journal: with the model that ran, every recorded result has to come out again; with another one, list what would have been different. The exit status is 1 if a budget is exceeded."`
	Step   stepCommand   `cmd:"" help:"Run a model on JSON lines from standard input, with one output line per input line."`
}

type checkCommand struct {
	Files     []string `arg:"" name:"file" help:"Model files, or folders of them."`
	Relevance bool     `help:"Also explain which messages reach the statechart: the relevant conditions, the classes that they define, and which classes are settled, so that repetitions are left out."`
}

// Run checks each file.
func (c *checkCommand) Run(streams cli.Streams) error {
	files, err := modelfile.List(c.Files)
	if err != nil {
		return cli.Usage(err)
	}
	models, err := modelfile.Each(files, checkModel)
	if err != nil {
		return cli.Usage(err)
	}
	for _, m := range models {
		fmt.Fprintf(streams.Out, "%s: ok, %s, hash %s\n", m.Name(), cli.Count(len(m.States()), "state"), m.Hash())
		if c.Relevance {
			fmt.Fprint(streams.Out, m.RelevanceText())
		}
	}
	return nil
}

func checkModel(file string) (*devicefsm.Model, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	m, err := devicefsm.Check(file, src)
	if err != nil {
		return nil, err
	}
	if err := measure.CheckModel(m.Name()); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return m, nil
}

type graphCommand struct {
	File   string `arg:"" help:"Model file."`
	Format string `help:"Format of the diagram: ${enum}." enum:"mermaid,dot" default:"mermaid"`
}

// Run prints the picture.
func (c *graphCommand) Run(streams cli.Streams) error {
	model, err := loadOneModel(c.File)
	if err != nil {
		return err
	}
	text := model.Mermaid()
	if c.Format == "dot" {
		text = model.DOT()
	}
	if _, err := io.WriteString(streams.Out, text); err != nil {
		return fmt.Errorf("write the graph of %s: %w", c.File, err)
	}
	return nil
}

// loadOneModel loads a file that a person named. Its errors are usage errors.
func loadOneModel(file string) (*devicefsm.Model, error) {
	model, err := modelfile.Load(file)
	return model, cli.Usage(err)
}
