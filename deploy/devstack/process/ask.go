package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

const maxAnswer = 32 << 20 // bytes

// Get requests a URL. A status other than 200 is an error with the body as its text.
func Get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", url, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", url, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(strings.TrimSpace(string(body)))
	}
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", url, err)
	}
	return string(body), nil
}
