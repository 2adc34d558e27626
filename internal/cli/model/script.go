package model

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"devicetwin/devicefsm"
	"devicetwin/devicefsm/script"
	"devicetwin/internal/cli"
	"devicetwin/internal/modelfile"
)

// testCommand is "devicetwin model test".
type testCommand struct {
	Files  []string `arg:"" name:"file" help:"Scripts, or models with a script next to them: pump.script for pump.yaml."`
	Update bool     `help:"Write the actual results into the scripts, as expectations."`
}

// modelScript is a script with its model.
type modelScript struct {
	*script.Script
	src   []byte
	model *devicefsm.Model
}

// Run runs all scripts, and reports every line after which something other
// than expected happened.
func (c *testCommand) Run(streams cli.Streams) error {
	scripts, err := loadScripts(c.Files)
	if err != nil {
		return err
	}
	failed := 0
	for _, s := range scripts {
		report := s.Run(s.model)
		if c.Update && !report.OK() {
			if report, err = s.update(report); err != nil {
				return err
			}
		}
		if report.OK() {
			fmt.Fprintf(streams.Out, "%s: ok, %s, %s of input\n", s.File, cli.Count(report.Tests, "test"), cli.Count(report.Inputs, "line"))
			continue
		}
		failed += len(report.Failures)
		fmt.Fprint(streams.Out, report)
	}
	if failed > 0 {
		return fmt.Errorf("lines with other results than expected: %d", failed)
	}
	return nil
}

// update rewrites the script and runs it again: what no expectation can
// fix still fails.
func (s *modelScript) update(report *script.Report) (*script.Report, error) {
	text := s.Update(report)
	if !bytes.Equal(text, s.src) {
		if err := os.WriteFile(s.File, text, 0o644); err != nil {
			return nil, fmt.Errorf("update script: %w", err)
		}
	}
	again, err := script.Parse(s.File, text)
	if err != nil {
		return nil, fmt.Errorf("read updated script: %w", err)
	}
	s.Script = again
	return again.Run(s.model), nil
}

// loadScripts reads scripts and their models. All faults of all files come at
// once, as a usage error.
func loadScripts(files []string) ([]*modelScript, error) {
	scripts, err := modelfile.Each(files, loadScript)
	return scripts, cli.Usage(err)
}

// errNoScript is returned for files such as pump.scenario.yaml, which a pattern for
// models may catch.
var errNoScript = errors.New("this is neither a script nor a model")

// errFolder is returned for a folder: of several scripts each is named.
var errFolder = errors.New("this is a folder; expected scripts, or models with a script next to them, such as FOLDER/*.script")

func loadScript(file string) (*modelScript, error) {
	modelFile := ""
	switch {
	case modelfile.Is(file):
		modelFile, file = file, strings.TrimSuffix(file, filepath.Ext(file))+".script"
	case modelfile.Is("model" + filepath.Ext(file)):
		return nil, errNoScript
	}
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return nil, errFolder
	}
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read script: %w", err)
	}
	s, err := script.Parse(file, src)
	if err != nil {
		return nil, err
	}
	switch {
	case s.Model != "":
		modelFile = filepath.Join(filepath.Dir(file), s.Model)
	case modelFile == "":
		modelFile = modelBeside(file)
	}
	model, err := modelfile.Load(modelFile)
	if err != nil {
		return nil, err
	}
	return &modelScript{Script: s, src: src, model: model}, nil
}

// modelBeside is the model that a script without the word `model` is about.
func modelBeside(file string) string {
	stem := strings.TrimSuffix(file, filepath.Ext(file))
	for _, extension := range []string{".yaml", ".yml", ".json"} {
		if _, err := os.Stat(stem + extension); err == nil {
			return stem + extension
		}
	}
	return stem + ".yaml"
}
