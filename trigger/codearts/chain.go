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

	"buildbridge/trigger/internal/quoted"
)

// Chain signs with the keys that the SDK's provider chain finds: in the environment
// (HUAWEICLOUD_SDK_AK and so on), a profile (~/.huaweicloud/credentials), the metadata of an ECS
// agency, or a CCE pod identity. The first two may also name an OIDC identity provider and a
// token file. The first call looks for them.
//
// Keys are looked for again every minute, so that rotated files are noticed; the SDK replaces
// temporary keys 40 minutes before they expire. Its refresh is not safe for concurrent use, so
// that one runs at a time, for all calls that wait.
func Chain() Credentials {
	return &chainCredentials{
		// As provider.BasicCredentialProviderChain, whose error does not say where it looked.
		provide: firstOf(
			keySource{"environment", provider.BasicCredentialEnvProvider()},
			keySource{"profile", provider.BasicCredentialProfileProvider()},
			keySource{"ECS metadata", provider.BasicCredentialMetadataProvider()},
			keySource{"CCE pod identity", provider.BasicCredentialPodIdentityProvider()},
		),
		now: time.Now,
	}
}

// keySource is where keys may be.
type keySource struct {
	name string
	provider.ICredentialProvider
}

// firstOf gives the keys of the first source that has some, or says of each why it has none.
func firstOf(sources ...keySource) func() (auth.ICredential, error) {
	return func() (auth.ICredential, error) {
		reasons := make([]string, len(sources))
		for i, p := range sources {
			credential, err := p.GetCredentials()
			if err == nil {
				return credential, nil
			}
			reasons[i] = p.name + ": " + reasonOf(err)
		}
		return nil, errors.New(strings.Join(reasons, "; "))
	}
}

// reasonOf says why there are no keys. Of the answer of a service it keeps only the status, a
// code and the request id: the answer may repeat a secret that is not known here.
func reasonOf(err error) string {
	if e, ok := errors.AsType[*sdkerr.CredentialsTypeError](err); ok {
		return quoted.Line(e.ErrorMessage, 200) // without the JSON around it
	}
	if e, ok := errors.AsType[*sdkerr.ServiceResponseError](err); ok {
		in := strings.TrimSpace(strconv.Itoa(e.StatusCode) + " " + identifier(e.ErrorCode, nil))
		if id := identifier(e.RequestId, nil); id != "" {
			in += ", request " + id
		}
		return "refused (" + in + ")"
	}
	text := err.Error()
	if i := strings.IndexAny(text, "{<"); i >= 0 && errors.Unwrap(err) == nil { // the body of an answer
		text = strings.TrimRight(text[:i], ": ")
	}
	return quoted.Line(text, 200)
}

// chainFresh is how long keys are used before they are looked for again.
const chainFresh = time.Minute

type chainCredentials struct {
	provide func() (auth.ICredential, error)
	now     func() time.Time

	lookups singleflight.Group

	mu    sync.Mutex
	keys  keys
	until time.Time // when to look again

	found *auth.BasicCredentials // used by the one lookup that runs
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
		return differ, err // another call has refreshed them
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
	// The SDK takes no context. It gives up by itself: after three seconds for metadata, ten
	// for a pod identity, and what find sets for OIDC.
	return lookUp(ctx, &c.lookups, "the credential chain", c.cached, c.lookup)
}

func (c *chainCredentials) lookup() (keys, error) {
	c.mu.Lock()
	last := c.keys
	c.mu.Unlock()
	err := c.find(last.access == "")
	if err != nil && last.access == "" {
		return keys{}, err
	}
	// Keys that cannot be renewed are valid for a while, because the SDK renews early. Once
	// they have expired, a 401 drops them, and the next lookup returns the error.
	k := last
	if err == nil {
		k = keys{access: c.found.AK, secret: c.found.SK, securityToken: c.found.SecurityToken, project: c.found.ProjectId}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys, c.until = k, c.now().Add(chainFresh)
	return k, nil
}

// find asks the chain for keys, or renews the temporary keys that it gave before, unless anew is
// set.
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
