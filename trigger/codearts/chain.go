package codearts

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/provider"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/config"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/impl"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/sdkerr"
	"golang.org/x/sync/singleflight"
)

// Chain signs with the keys that the SDK's provider chain finds: environment
// (HUAWEICLOUD_SDK_AK and so on), profile (~/.huaweicloud/credentials), ECS
// agency metadata, CCE pod identity; the first two may also name an OIDC
// identity provider and token file. Nothing is looked for before the first call.
//
// Keys are looked at again every minute, so that rotated files are noticed; the
// SDK replaces temporary keys 40 minutes before they expire. Its refresh is not
// safe for concurrent use, so only one runs at a time, for all who wait.
func Chain() Credentials {
	return &chainCredentials{
		// provider.BasicCredentialProviderChain, whose error does not say where it looked.
		provide: firstOf(
			place{"environment", provider.BasicCredentialEnvProvider()},
			place{"profile", provider.BasicCredentialProfileProvider()},
			place{"ECS metadata", provider.BasicCredentialMetadataProvider()},
			place{"CCE pod identity", provider.BasicCredentialPodIdentityProvider()},
		),
		now: time.Now,
	}
}

// place is where keys may be.
type place struct {
	name string
	provider.ICredentialProvider
}

// firstOf gives what the first of the places has, or says of each why it has
// nothing.
func firstOf(places ...place) func() (auth.ICredential, error) {
	return func() (auth.ICredential, error) {
		reasons := make([]string, len(places))
		for i, p := range places {
			credential, err := p.GetCredentials()
			if err == nil {
				return credential, nil
			}
			reasons[i] = p.name + ": " + reasonOf(err)
		}
		return nil, errors.New(strings.Join(reasons, "; "))
	}
}

// reasonOf says why there are no keys, without what a service answered but its status,
// a code and the id of the request: it was sent a secret, that is not known here.
func reasonOf(err error) string {
	if e, ok := errors.AsType[*sdkerr.CredentialsTypeError](err); ok {
		return oneLine(e.ErrorMessage, 200) // without the JSON around it
	}
	if e, ok := errors.AsType[*sdkerr.ServiceResponseError](err); ok {
		in := strings.TrimSpace(strconv.Itoa(e.StatusCode) + " " + identifier(e.ErrorCode, nil))
		if id := identifier(e.RequestId, nil); id != "" {
			in += ", request " + id
		}
		return "refused (" + in + ")"
	}
	text := err.Error()
	if i := strings.IndexAny(text, "{<"); i >= 0 && errors.Unwrap(err) == nil { // a body
		text = strings.TrimRight(text[:i], ": ")
	}
	return oneLine(text, 200)
}

// chainFresh is how long keys are used without looking again.
const chainFresh = time.Minute

type chainCredentials struct {
	provide func() (auth.ICredential, error)
	now     func() time.Time

	lookups singleflight.Group

	mu    sync.Mutex
	keys  keys
	until time.Time // when to look again

	// Only the one lookup that runs uses this.
	found *auth.BasicCredentials
}

func (c *chainCredentials) Authorize(ctx context.Context, req *http.Request, body []byte) error {
	k, err := c.current(ctx)
	if err != nil {
		return err
	}
	return k.sign(req, body)
}

func (c *chainCredentials) Refresh(ctx context.Context, refused *http.Request, body []byte) (bool, error) {
	c.mu.Lock()
	used := c.keys
	c.mu.Unlock()
	if differ, err := used.differ(refused, body); differ || err != nil {
		return differ, err // Another call refreshed them already.
	}
	c.mu.Lock()
	c.keys, c.until = keys{}, time.Time{}
	c.mu.Unlock()
	k, err := c.current(ctx)
	if err != nil {
		return false, err
	}
	return k.differ(refused, body)
}

func (c *chainCredentials) cached() (keys, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keys, c.keys.access != "" && c.now().Before(c.until)
}

func (c *chainCredentials) current(ctx context.Context) (keys, error) {
	if k, ok := c.cached(); ok {
		return k, nil
	}
	// The SDK knows no context. It gives up by itself after some seconds: three
	// for metadata, ten for pod identity, and what lookup sets for OIDC.
	lookup := c.lookups.DoChan("", func() (any, error) {
		if k, ok := c.cached(); ok {
			return k, nil
		}
		return c.lookup()
	})
	select {
	case <-ctx.Done():
		return keys{}, fmt.Errorf("waiting for the credential chain: %w", ctx.Err())
	case result := <-lookup:
		if result.Err != nil {
			return keys{}, result.Err
		}
		return result.Val.(keys), nil
	}
}

func (c *chainCredentials) lookup() (keys, error) {
	c.mu.Lock()
	last := c.keys
	c.mu.Unlock()
	err := c.find(last.access == "")
	if err != nil && last.access == "" {
		return keys{}, err
	}
	// Keys that cannot be renewed are good for a while: the SDK renews early.
	// When they are not, a 401 drops them and the next lookup tells why.
	k := last
	if err == nil {
		k = keys{access: c.found.AK, secret: c.found.SK, securityToken: c.found.SecurityToken, project: c.found.ProjectId}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys, c.until = k, c.now().Add(chainFresh)
	return k, nil
}

// find asks the chain, or renews temporary keys that it gave before. anew drops
// those too.
func (c *chainCredentials) find(anew bool) error {
	if c.found == nil || c.found.StsAccessor == nil || anew {
		credential, err := c.provide()
		if err != nil {
			return fmt.Errorf("credential chain: %w", err)
		}
		found, ok := credential.(*auth.BasicCredentials)
		if !ok {
			return fmt.Errorf("credential chain: %T is not usable for a project", credential)
		}
		c.found = found
	}
	transport := newTransport()
	defer transport.CloseIdleConnections()
	client := impl.NewDefaultHttpClient(config.DefaultHttpConfig().
		WithTimeout(10 * time.Second).
		WithHttpTransport(transport))
	if err := c.found.ProcessSts(client); err != nil {
		return errors.New("credential chain: " + reasonOf(err))
	}
	if c.found.AK == "" || c.found.SK == "" {
		return errors.New("credential chain: no access key in what it found")
	}
	return nil
}
