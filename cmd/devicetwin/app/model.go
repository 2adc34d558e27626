package app

import (
	"errors"
	"fmt"
	"io"
	"os"

	"devicetwin/devicefsm"
	"devicetwin/source"
)

// modelCommand is "devicetwin model".
type modelCommand struct {
	Check modelCheckCommand `cmd:"" help:"Check model files and tell everything that is wrong with them."`
	Graph modelGraphCommand `cmd:"" help:"Draw a model's statechart, as text for Mermaid or Graphviz."`
	Test  modelTestCommand  `cmd:"" help:"Run the scripts beside the models: events in, expected states and actions out."`
	Step  modelStepCommand  `cmd:"" help:"Run a model on JSON lines from standard input, one line out for each line in."`
}

type modelCheckCommand struct {
	Files     []string `arg:"" name:"file" help:"Model files, or folders of them."`
	Relevance bool     `help:"Also explain which messages reach the statechart: the conditions that count, the classes that they make, and which of these are settled, so that repetitions are left out."`
}

// Run checks each file.
func (c *modelCheckCommand) Run(streams Streams) error {
	files, err := ModelConfig{Models: c.Files}.modelFiles()
	if err != nil {
		return err
	}
	files = files[1:] // the first is the one that new devices start with: here there is none
	models, err := readAll(files, checkModel)
	if err != nil {
		return err
	}
	for _, m := range models {
		fmt.Fprintf(streams.Out, "%s: ok, %d states, hash %s\n", m.Name(), len(m.States()), m.Hash())
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
	return devicefsm.Check(file, src)
}

type modelGraphCommand struct {
	File   string `arg:"" help:"Model file."`
	Format string `help:"Form of the picture: ${enum}." enum:"mermaid,dot" default:"mermaid"`
}

// Run prints the picture.
func (c *modelGraphCommand) Run(streams Streams) error {
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
	model, err := loadModel(file)
	var faults source.Faults
	switch {
	case errors.As(err, &faults):
		return nil, usageError{faults}
	case err != nil:
		return nil, usageError{err}
	}
	return model, nil
}
