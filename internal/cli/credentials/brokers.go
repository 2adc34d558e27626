package credentials

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"devicetwin/auth"
	"devicetwin/device"
	"devicetwin/internal/cli"
)

// httpAPI is a broker's API, whose user and password are in its URL.
type httpAPI struct {
	base           string // without a slash at the end
	user, password string
	client         *http.Client
}

const (
	apiTimeout = 10 * time.Second
	maxAnswer  = 16 << 20
)

// newHTTPAPI does not repeat the URL in an error: it has a password.
func newHTTPAPI(address string) (httpAPI, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" {
		return httpAPI{}, errors.New("expected http://USER:PASSWORD@HOST:PORT")
	}
	password, _ := u.User.Password()
	h := httpAPI{user: u.User.Username(), password: password, client: &http.Client{
		Timeout: apiTimeout,
		// A DELETE that is redirected would become a GET, which ends nothing.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	u.User = nil
	h.base = strings.TrimSuffix(u.String(), "/")
	return h, nil
}

// do makes a request, and decodes the answer into a value, if it is not nil. found
// is false for status 404.
func (h httpAPI) do(ctx context.Context, method, path string, into any) (found bool, err error) {
	request, err := http.NewRequestWithContext(ctx, method, h.base+path, nil)
	if err != nil {
		return false, err
	}
	request.SetBasicAuth(h.user, h.password)
	request.Header.Set("X-Reason", "credentials revoked") // RabbitMQ logs it
	response, err := h.client.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case err != nil:
		return false, fmt.Errorf("read the response of %s: %w", h.base, err)
	case response.StatusCode == http.StatusNotFound:
		return false, nil
	case response.StatusCode/100 != 2:
		return false, fmt.Errorf("%s %s: %s: %.200s", method, h.base+path, response.Status, raw)
	case into == nil:
		return true, nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return false, fmt.Errorf("read the response of %s: %w", h.base, err)
	}
	return true, nil
}

// rabbitMQ is the management API of RabbitMQ
// (https://www.rabbitmq.com/docs/http-api-reference): DELETE of the connections of a
// user closes all of them.
type rabbitMQ struct{ httpAPI }

func (rabbitMQ) name() string { return "RabbitMQ" }

func (r rabbitMQ) end(ctx context.Context, id device.ID) (string, error) {
	// A 404 is of an older RabbitMQ, or of another server: without connections the
	// answer is 204, too.
	found, err := r.do(ctx, http.MethodDelete, "/api/connections/username/"+url.PathEscape(string(id)), nil)
	if err == nil && !found {
		err = errors.New("it does not know DELETE /api/connections/username: expected RabbitMQ 3.10 or newer")
	}
	if err != nil {
		return "", err
	}
	return "connections closed", r.endOthers(ctx, id)
}

// endOthers closes the connections of a device that has given more than its name, such as
// pump-1?SDK=x, which RabbitMQ takes for another user's.
func (r rabbitMQ) endOthers(ctx context.Context, id device.ID) error {
	var connections []struct{ Name, User string }
	if _, err := r.do(ctx, http.MethodGet, "/api/connections?columns=name,user", &connections); err != nil {
		return err
	}
	var faults []error
	for _, c := range connections {
		if c.User != string(id) && auth.Name(c.User) == string(id) {
			_, err := r.do(ctx, http.MethodDelete, "/api/connections/"+url.PathEscape(c.Name), nil)
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// emqx is the API of EMQX 5 (https://docs.emqx.com/en/emqx/latest/admin/api.html):
// clients are found by their user name, and kicked out by their client id.
type emqx struct{ httpAPI }

func (emqx) name() string { return "EMQX" }

// emqxPage is how many clients are asked for at once: EMQX allows 10,000.
const emqxPage = 1000

func (e emqx) end(ctx context.Context, id device.ID) (string, error) {
	clients, err := e.clients(ctx, id)
	if err != nil {
		return "", err
	}
	ended := 0
	var faults []error
	for _, c := range clients {
		gone, err := e.do(ctx, http.MethodDelete, "/api/v5/clients/"+url.PathEscape(c), nil)
		if faults = append(faults, err); gone { // or else it has left meanwhile
			ended++
		}
	}
	return cli.Count(ended, "session") + " ended", errors.Join(faults...)
}

// clients are the client ids of a device, also where its user name has more than its own.
// EMQX finds parts of user names.
func (e emqx) clients(ctx context.Context, id device.ID) (ids []string, err error) {
	for page := 1; ; page++ {
		var found struct {
			Data []struct {
				ID       string `json:"clientid"`
				Username string `json:"username"`
			} `json:"data"`
		}
		query := url.Values{"like_username": {string(id)}, "limit": {strconv.Itoa(emqxPage)}, "page": {strconv.Itoa(page)}}
		known, err := e.do(ctx, http.MethodGet, "/api/v5/clients?"+query.Encode(), &found)
		switch {
		case err != nil:
			return nil, err
		case !known:
			return nil, errors.New("it does not know /api/v5/clients: expected EMQX 5")
		}
		for _, c := range found.Data {
			if auth.Name(c.Username) == string(id) {
				ids = append(ids, c.ID)
			}
		}
		if len(found.Data) < emqxPage {
			return ids, nil
		}
	}
}
