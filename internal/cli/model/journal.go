package model

import (
	"errors"
	"fmt"

	"devicetwin/internal/cli"
	"devicetwin/internal/journal"
)

// journalFlags say which journal a command reads, and with which models.
type journalFlags struct {
	Journal string   `env:"-" required:"" help:"Folder of the journal (--worker-journal). Workers may be writing it." placeholder:"DIR"`
	Models  []string `env:"-" help:"Model files, or folders of them: models that devices ran and of which there is no copy next to the journal." placeholder:"PATH"`

	Temporal struct {
		Keys string `help:"File with the keys, the same as for workers, if the journal is encrypted." placeholder:"FILE"`
	} `embed:"" prefix:"temporal-"`
}

// open finds the files of the journal, and reads the keys. The error reports every fault.
func (f journalFlags) open() (files []journal.File, keys journal.Keys, err error) {
	files, err = journal.Files(f.Journal)
	if err == nil && len(files) == 0 {
		err = journal.ErrNoJournal
	}
	if err != nil {
		err = fmt.Errorf("--journal %s: %w", f.Journal, err)
	}
	keys, errKeys := cli.ReadKeys(f.Temporal.Keys)
	return files, keys, errors.Join(err, errKeys)
}
