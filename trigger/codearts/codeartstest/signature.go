package codeartstest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	algorithm     = "SDK-HMAC-SHA256"
	dateFormat    = "20060102T150405Z"
	maxClockError = 15 * time.Minute
)

// signature is a parsed Authorization header.
type signature struct {
	access  string
	headers []string // lower case, in the order they were signed
	value   string
}

// parseSignature reads
//
//	SDK-HMAC-SHA256 Access=…, SignedHeaders=a;b, Signature=…
func parseSignature(authorization string) (signature, bool) {
	rest, ok := strings.CutPrefix(authorization, algorithm+" ")
	if !ok {
		return signature{}, false
	}
	var sig signature
	for field := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(field), "=")
		if !ok || value == "" {
			return signature{}, false
		}
		switch {
		case name == "Access" && sig.access == "":
			sig.access = value
		case name == "SignedHeaders" && sig.headers == nil:
			sig.headers = strings.Split(strings.ToLower(value), ";")
		case name == "Signature" && sig.value == "":
			sig.value = value
		default:
			return signature{}, false
		}
	}
	return sig, sig.access != "" && sig.headers != nil && sig.value != ""
}

// verify recomputes the signature of a request. It gives the code and the message of an error,
// or "".
func (s *Simulator) verify(r *http.Request, body []byte, now time.Time) (code, message string) {
	const badCredentials = "APIGW.0301"
	sig, ok := parseSignature(r.Header.Get("Authorization"))
	if !ok {
		return badCredentials, "Incorrect IAM authentication information: no token and no signature"
	}
	for _, name := range []string{"X-Sdk-Date", "X-Security-Token", "X-Project-Id"} {
		if r.Header.Get(name) != "" && !slices.Contains(sig.headers, strings.ToLower(name)) {
			return badCredentials, "Incorrect IAM authentication information: " + name + " is not signed"
		}
	}
	date := r.Header.Get("X-Sdk-Date")
	at, err := time.Parse(dateFormat, date)
	if err != nil {
		return badCredentials, "Incorrect IAM authentication information: X-Sdk-Date is missing or malformed"
	}
	if d := now.Sub(at); d > maxClockError || d < -maxClockError {
		return "APIGW.0303", "Incorrect app authentication information: signature expired"
	}
	key, known := s.secrets[sig.access]
	canonical, ok := canonicalRequest(r, sig.headers, body)
	want := sign(canonical, date, key.SecretKey)
	if !known || !ok || !hmac.Equal([]byte(want), []byte(sig.value)) {
		return badCredentials, "Incorrect IAM authentication information: verify aksk signature fail"
	}
	if !hmac.Equal([]byte(key.SecurityToken), []byte(r.Header.Get("X-Security-Token"))) {
		return badCredentials, "Incorrect IAM authentication information: security token"
	}
	return "", ""
}

// sign is the signature over a canonical request.
func sign(canonical, date, secret string) string {
	hash := sha256.Sum256([]byte(canonical))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(algorithm + "\n" + date + "\n" + hex.EncodeToString(hash[:])))
	return hex.EncodeToString(mac.Sum(nil))
}

// canonicalRequest is method, path, query, headers, their names and the hash of the body, each
// on a line. ok is false if a header is missing, or the body is not the one that was signed.
func canonicalRequest(r *http.Request, headers []string, body []byte) (text string, ok bool) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "", false
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	if claimed := r.Header.Get("X-Sdk-Content-Sha256"); claimed != "" {
		if claimed != "UNSIGNED-PAYLOAD" && claimed != hash {
			return "", false
		}
		hash = claimed
	}
	var b strings.Builder
	b.WriteString(r.Method + "\n" + canonicalPath(r.URL.Path) + "\n" + canonicalQuery(query) + "\n")
	for _, name := range headers {
		values := slices.Sorted(slices.Values(r.Header.Values(name)))
		if name == "host" {
			values = []string{r.Host}
		}
		if len(values) == 0 {
			return "", false
		}
		for _, value := range values {
			b.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
		}
	}
	b.WriteString("\n" + strings.Join(headers, ";") + "\n" + hash)
	return b.String(), true
}

// canonicalPath is the path with each segment escaped, and a slash at the end.
func canonicalPath(path string) string {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		segments[i] = escape(segment)
	}
	path = strings.Join(segments, "/")
	if !strings.HasSuffix(path, "/") {
		path += "/"
	}
	return path
}

func canonicalQuery(query url.Values) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(query)) {
		for _, value := range slices.Sorted(slices.Values(query[name])) {
			pairs = append(pairs, escape(name)+"="+escape(value))
		}
	}
	return strings.Join(pairs, "&")
}

// escape escapes all characters but those that RFC 3986 calls unreserved.
func escape(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == '~':
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}
