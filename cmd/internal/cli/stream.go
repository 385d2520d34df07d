package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// stream asks for an answer that may take long, and reads it. It is given up when the bridge
// sends nothing for askTimeout: reading the body is an error then that says so.
func (c *client) stream(ctx context.Context, path string, read func(answer *http.Response, body io.Reader) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stalled := time.AfterFunc(askTimeout, cancel)
	defer stalled.Stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, http.NoBody)
	if err != nil {
		return err
	}
	patient := *c
	patient.http = &http.Client{CheckRedirect: c.http.CheckRedirect, Transport: c.http.Transport}
	answer, err := patient.do(r) //nolint:bodyclose // it is closed below
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return read(answer, readerFunc(func(p []byte) (int, error) {
		stalled.Reset(askTimeout)
		n, err := answer.Body.Read(p)
		if errors.Is(err, context.Canceled) && !stalled.Stop() {
			err = fmt.Errorf("the bridge sent nothing for %v", askTimeout)
		}
		return n, err
	}))
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
