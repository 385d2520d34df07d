package certificate_test

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"buildbridge/cmd/internal/certificate"
	"buildbridge/cmd/internal/certificate/certificatetest"
)

// folder is where a certificate and its key are.
type folder struct {
	t   *testing.T
	dir string
}

func (f folder) write(name string, content []byte) {
	f.t.Helper()
	certificatetest.Replace(f.t, filepath.Join(f.dir, name), content)
}

func (f folder) both(name string) { certificatetest.Write(f.t, f.dir, name) }

func (f folder) ok(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func TestReload(t *testing.T) {
	type step struct {
		do     func(folder)
		want   string // whose certificate is served then
		logged string // what the log has of it then; "" for nothing
	}
	for name, steps := range map[string][]step{
		"nothing changes": {{do: func(folder) {}, want: "first"}},
		"both are replaced, again and again": {
			{do: func(f folder) { f.both("second") }, want: "second", logged: "certificate reloaded"},
			{do: func(f folder) { f.both("third") }, want: "third", logged: "certificate reloaded"},
		},
		"one after the other": {
			{do: func(f folder) {
				cert, key := certificatetest.New(f.t, "second")
				f.write("later", key)
				f.write("tls.crt", cert)
			}, want: "first", logged: "certificate not reloaded"},
			{do: func(folder) {}, want: "first"}, // told once
			{do: func(f folder) {
				f.ok(os.Rename(filepath.Join(f.dir, "later"), filepath.Join(f.dir, "tls.key")))
			}, want: "second", logged: "certificate reloaded"},
		},
		"by something broken, and fixed": {
			{do: func(f folder) { f.write("tls.crt", []byte("oops")) }, want: "first", logged: "certificate not reloaded"},
			{do: func(f folder) { f.both("second") }, want: "second", logged: "certificate reloaded"},
		},
		"they go and come back": {
			{do: func(f folder) { f.ok(os.Remove(filepath.Join(f.dir, "tls.key"))) }, want: "first", logged: "certificate not reloaded"},
			{do: func(f folder) { f.both("second") }, want: "second", logged: "certificate reloaded"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := folder{t, t.TempDir()}
				var log bytes.Buffer
				config, err := certificatetest.Write(t, f.dir, "first").Load(slog.New(slog.NewTextHandler(&log, nil)))
				if err != nil {
					t.Fatal(err)
				}
				served := func() string {
					cert, err := config.GetCertificate(&tls.ClientHelloInfo{})
					if err != nil {
						t.Fatal(err)
					}
					return cert.Leaf.Subject.CommonName
				}
				before := "first"
				for i, s := range steps {
					log.Reset()
					s.do(f)
					if got := served(); got != before {
						t.Errorf("step %d, at once: %s is served, want %s: the files are looked at too often", i, got, before)
					}
					time.Sleep(2 * time.Second)
					for range 2 {
						if got := served(); got != s.want {
							t.Errorf("step %d: %s is served, want %s", i, got, s.want)
						}
					}
					if got := log.String(); (s.logged == "") != (got == "") || strings.Count(got, "msg=") > 1 || !strings.Contains(got, s.logged) {
						t.Errorf("step %d: log %q, want %q once", i, got, s.logged)
					}
					if strings.Contains(log.String(), "PRIVATE") {
						t.Errorf("step %d: the key is in the log: %s", i, log.String())
					}
					before = s.want
				}
			})
		})
	}
}

func TestLoadFails(t *testing.T) {
	f := folder{t, t.TempDir()}
	cert, key := certificatetest.New(t, "first")
	_, other := certificatetest.New(t, "second")
	f.write("tls.crt", cert)
	f.write("tls.key", key)
	f.write("other.key", other)
	for name, test := range map[string]struct{ cert, key, want string }{
		"no key is named":            {cert: "tls.crt", want: "belong together"},
		"no certificate is named":    {key: "tls.key", want: "belong together"},
		"a file is not there":        {cert: "absent.crt", key: "tls.key", want: "absent.crt"},
		"the key of another":         {cert: "tls.crt", key: "other.key", want: "does not match"},
		"they are mistaken for each": {cert: "tls.key", key: "tls.crt", want: "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			at := func(name string) string {
				if name == "" {
					return ""
				}
				return filepath.Join(f.dir, name)
			}
			_, err := certificate.Files{Cert: at(test.cert), Key: at(test.key)}.Load(slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "BEGIN") {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}
