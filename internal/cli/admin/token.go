package admin

import (
	"fmt"

	"devicetwin/api"
	"devicetwin/internal/cli"
)

// tokenCommand is "devicetwin token".
type tokenCommand struct {
	New tokenNewCommand `cmd:"" help:"Generate an API token, and the line with its hash for --api-token-file."`
}

type tokenNewCommand struct {
	Name  string   `arg:"" help:"Name of the token's owner, for the audit log."`
	Scope []string `env:"-" help:"Scopes: read, operate (includes read), admin (everything)." enum:"read,operate,admin" required:""`
}

// Run prints the token, which is kept nowhere, and the line.
func (c *tokenNewCommand) Run(streams cli.Streams) error {
	scopes := make([]api.Scope, len(c.Scope))
	for i, name := range c.Scope {
		scopes[i] = api.Scope(name)
	}
	token, line, err := api.NewToken(c.Name, scopes)
	if err != nil {
		return cli.Usage(err)
	}
	fmt.Fprintf(streams.Err, "The token, which is shown only now, and the line for the file (--api-token-file):\n")
	fmt.Fprintf(streams.Out, "%s\n%s\n", token, line)
	return nil
}
