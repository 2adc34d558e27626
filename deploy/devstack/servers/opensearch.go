package servers

import (
	"context"
	"net"
	"os/exec"

	"devicetwin/deploy/devstack/process"
)

// OpenSearch is one node of OpenSearch.
type OpenSearch struct {
	*process.Process
	Address string // host and port of its HTTP API
}

// NewOpenSearch prepares an OpenSearch that listens at two ports of process.Host, for
// HTTP and for other nodes, and keeps its data in a folder; its log is in the folder
// dir. The error is a *NotInstalledError if it is not installed.
func NewOpenSearch(dir, name, data, http, transport string) (*OpenSearch, error) {
	program, err := Find("opensearch", "opensearch")
	if err != nil {
		return nil, err
	}
	o := &OpenSearch{Address: net.JoinHostPort(process.Host, http)}
	ready := func(ctx context.Context, _ *process.Process) error {
		_, err := process.Get(ctx, o.URL()+"/_cluster/health?wait_for_status=yellow&timeout=1s")
		return err
	}
	o.Process = process.New(dir, name, ready, func() *exec.Cmd {
		return exec.Command(program, data, process.Host, http, transport)
	})
	return o, nil
}

// URL of the HTTP API.
func (o *OpenSearch) URL() string { return "http://" + o.Address }
