package operator

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"devicetwin/api/client"
	"devicetwin/internal/cli"
)

// queryError shows where a query is wrong, as an error of usage. Any other error stays
// as it is.
func queryError(query string, err error) error {
	var problem *client.Problem
	if !errors.As(err, &problem) || len(problem.Errors) == 0 {
		return err
	}
	text := problem.Detail
	for _, e := range problem.Errors {
		number, ok := strings.CutPrefix(e.Location, "query.query:")
		column, fault := strconv.Atoi(number)
		if !ok || fault != nil || column < 1 || column > utf8.RuneCountInString(query)+1 {
			return err
		}
		text += fmt.Sprintf("\ncolumn %d: %s\n  %s\n  %s^", column, e.Message, printable(query), strings.Repeat(" ", column-1))
	}
	return cli.Usage(errors.New(text))
}
