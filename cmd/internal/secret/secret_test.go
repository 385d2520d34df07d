package secret_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"buildbridge/cmd/internal/secret"
	"buildbridge/mapping"
)

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("SECRET_TEST_SET", " s3cret\n")
	t.Setenv("SECRET_TEST_PLAIN", "s3cret")
	t.Setenv("SECRET_TEST_EMPTY", "")

	for name, test := range map[string]struct {
		ref   mapping.SecretRef
		want  mapping.Secret
		doubt string // part of it; "" for none
		error string // part of it
	}{
		"an environment variable is taken as it is": {ref: mapping.SecretRef{Env: "SECRET_TEST_SET"}, want: " s3cret\n", doubt: "environment variable SECRET_TEST_SET ends in white space, "},
		"one without anything around it":            {ref: mapping.SecretRef{Env: "SECRET_TEST_PLAIN"}, want: "s3cret"},
		"an environment variable that is not set":   {ref: mapping.SecretRef{Env: "SECRET_TEST_UNSET"}, error: "SECRET_TEST_UNSET is not set"},
		"an empty environment variable":             {ref: mapping.SecretRef{Env: "SECRET_TEST_EMPTY"}, error: "SECRET_TEST_EMPTY is empty"},
		"a file without a newline":                  {ref: mapping.SecretRef{File: file("plain", "s3cret")}, want: "s3cret"},
		"a file with a newline":                     {ref: mapping.SecretRef{File: file("newline", "s3cret\n")}, want: "s3cret"},
		"a file with a newline of Windows":          {ref: mapping.SecretRef{File: file("crlf", "s3cret\r\n")}, want: "s3cret"},
		"one newline of two is dropped":             {ref: mapping.SecretRef{File: file("two", "s3cret\n\n")}, want: "s3cret\n", doubt: "two ends in more white space than one line break"},
		"spaces stay":                               {ref: mapping.SecretRef{File: file("spaces", " s3cret ")}, want: " s3cret ", doubt: "spaces ends in more white space than one line break"},
		"a space before it":                         {ref: mapping.SecretRef{File: file("before", " s3cret\n")}, want: " s3cret", doubt: "before begins with white space"},
		"one within it":                             {ref: mapping.SecretRef{File: file("within", "s3 cret\n")}, want: "s3 cret"},
		"a byte order mark":                         {ref: mapping.SecretRef{File: file("mark", "\ufeffs3cret\n")}, want: "\ufeffs3cret", doubt: "mark begins with a byte order mark"},
		"one of UTF-16":                             {ref: mapping.SecretRef{File: file("utf16", "\xff\xfes\x003\x00")}, want: "\xff\xfes\x003\x00", doubt: "utf16 begins with a byte order mark"},
		"an empty file":                             {ref: mapping.SecretRef{File: file("empty", "")}, error: "empty: empty"},
		"a file with nothing but a newline":         {ref: mapping.SecretRef{File: file("blank", "\n")}, error: "empty"},
		"a file that is too large":                  {ref: mapping.SecretRef{File: file("large", strings.Repeat("x", 64<<10+1))}, error: "larger than"},
		"a file that is not there":                  {ref: mapping.SecretRef{File: filepath.Join(dir, "absent")}, error: "absent: no such file"},
		"a folder":                                  {ref: mapping.SecretRef{File: dir}, error: "is a directory"},
		"neither":                                   {error: "neither"},
	} {
		t.Run(name, func(t *testing.T) {
			got, doubt, err := secret.Read(test.ref)
			if (doubt == "") != (test.doubt == "") || !strings.Contains(doubt, test.doubt) || strings.Contains(doubt, "s3") {
				t.Errorf("the doubt is %q, want %q and never the secret", doubt, test.doubt)
			}
			if test.error != "" {
				if err == nil || !strings.Contains(err.Error(), test.error) || got != "" {
					t.Fatalf("got %q and the error %v, want an error with %q", string(got), err, test.error)
				}
				if strings.Contains(err.Error(), "s3cret") {
					t.Fatalf("the error tells the secret: %v", err)
				}
				return
			}
			if err != nil || got != test.want {
				t.Fatalf("got %q and the error %v, want %q", string(got), err, string(test.want))
			}
		})
	}
}
