package main

import (
	"crypto/tls"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"buildbridge/cmd/internal/certificate/certificatetest"
	"buildbridge/trigger/codearts/codeartstest"
)

// The bridge gets the settings of the listeners and of retention, and the commands reach
// the admin API by TLS.
func TestServeByTLS(t *testing.T) {
	w := newWorld(t, 5*time.Second, codeartstest.Options{})
	certificatetest.Write(t, w.dir, "bridge")
	b := &bridge{process: begin(t, w.dir, append(w.env(), "BUILDBRIDGE_ADMIN_TLS_CERT=tls.crt", "BUILDBRIDGE_ADMIN_TLS_KEY=tls.key"),
		"serve", "--rules", "rules.yaml", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
		"--tls-cert", "tls.crt", "--tls-key", "tls.key", "--max-connections", "10", "--max-body-memory", "1MiB",
		"--max-waiting", "100", "--keep-bodies", "1d", "--keep-deliveries", "36h", "--keep-builds", "0")}
	at := b.logged("serving")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	for address, want := range map[string]int{
		at["listen"].(string) + "/webhooks/nobody": http.StatusNotFound,
		at["admin_listen"].(string) + "/readyz":    http.StatusOK,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if want == http.StatusNotFound {
			req.Method = http.MethodPost
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: status %d, want %d", address, res.StatusCode, want)
		}
	}
	list := exec.CommandContext(t.Context(), "buildbridge", "builds", "list", "--admin", "https://"+at["admin_listen"].(string))
	list.Dir, list.Env = w.dir, append(os.Environ(), "SSL_CERT_FILE=tls.crt")
	if out, err := list.CombinedOutput(); err != nil {
		t.Errorf("builds list by TLS: %v, %s", err, out)
	}
	b.term()
}

func TestSettingsThatCannotBe(t *testing.T) {
	w := newWorld(t, 5*time.Second, codeartstest.Options{})
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"a certificate without its key":         {[]string{"--tls-cert", "tls.crt"}, 2, "--tls-cert and --tls-key belong together"},
		"a key without its certificate":         {[]string{"--admin-tls-key", "tls.key"}, 2, "--admin-tls-cert and --admin-tls-key belong together"},
		"a certificate that is not there":       {[]string{"--tls-cert", "no.crt", "--tls-key", "no.key"}, 1, "public listener: certificate no.crt"},
		"no connection at all":                  {[]string{"--max-connections", "0"}, 2, "--max-connections must be 1 or more"},
		"no build may wait":                     {[]string{"--max-waiting", "0"}, 2, "--max-waiting must be 1 or more"},
		"bodies without memory":                 {[]string{"--max-body-memory", "256"}, 2, "--max-body-memory must be 1MB or more"},
		"a size that is none":                   {[]string{"--max-body-memory", "much"}, 2, `"much" is not a size`},
		"a time to keep something with no unit": {[]string{"--keep-builds", "30"}, 2, `"30" is not a time to keep something`},
		"a time below nothing":                  {[]string{"--keep-builds=-1d"}, 2, `"-1d" is not a time to keep something: want days or hours`},
		"a time that looks like a flag":         {[]string{"--keep-builds", "-1d"}, 2, `expected TIME value but got "-1d"`},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"serve", "--rules", "rules.yaml", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, test.args...)
			cmd := exec.CommandContext(t.Context(), "buildbridge", args...)
			cmd.Dir, cmd.Env = w.dir, append(os.Environ(), w.env()...)
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState == nil {
				t.Fatal(err)
			}
			if code := cmd.ProcessState.ExitCode(); code != test.code || !strings.Contains(string(out), test.want) {
				t.Errorf("exit code %d: %s, want %d and %q", code, out, test.code, test.want)
			}
		})
	}
}
