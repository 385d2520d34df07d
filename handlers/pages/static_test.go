package pages

import (
	"io/fs"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func read(t *testing.T, files fs.FS, name string) string {
	t.Helper()
	text, err := fs.ReadFile(files, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The limits are those of a slow connection: both files come before the first page is whole.
func TestStaticFilesAreSmall(t *testing.T) {
	t.Parallel()
	for name, most := range map[string]int{"style.css": 12 << 10, "pages.js": 8 << 10} {
		if size := len(read(t, static, "static/"+name)); size > most {
			t.Errorf("%s has %d bytes, more than %d", name, size, most)
		}
	}
}

// The Content-Security-Policy forbids what is inline: it would not work, and only in a browser.
func TestNothingIsInline(t *testing.T) {
	t.Parallel()
	inline := regexp.MustCompile(`(?is)<style|<script[^>]*>[^<]|\sstyle\s*=|\son[a-z]+\s*=|javascript:|<base|https?://`)
	err := fs.WalkDir(templateFiles, "templates", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		for _, found := range inline.FindAllString(read(t, templateFiles, name), -1) {
			t.Errorf("%s has %q", name, found)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if found := regexp.MustCompile(`@import|url\(|https?:`).FindString(read(t, static, "static/style.css")); found != "" {
		t.Errorf("style.css loads something: %q", found)
	}
	script := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|\.style\b|https?:`)
	if found := script.FindString(read(t, static, "static/pages.js")); found != "" {
		t.Errorf("pages.js has %q", found)
	}
}

// Every page has a main part, and no part that is named is missing.
func TestEveryTemplateIsWhole(t *testing.T) {
	t.Parallel()
	call := regexp.MustCompile(`{{template "([^"]+)"`)
	for name, page := range templates() {
		for _, needed := range []string{"layout", "main"} {
			if page.Lookup(needed) == nil {
				t.Errorf("%s.html does not define %q", name, needed)
			}
		}
		for _, part := range call.FindAllStringSubmatch(read(t, templateFiles, "templates/"+name+".html"), -1) {
			if page.Lookup(part[1]) == nil {
				t.Errorf("%s.html uses the part %q, which nobody defines", name, part[1])
			}
		}
	}
}

// WCAG 2.2, 1.4.3 and 1.4.11: text has a contrast of 4.5 to 1, the edge of a field 3 to 1.
func TestContrast(t *testing.T) {
	t.Parallel()
	const text, edge = 4.5, 3
	pairs := map[[2]string]float64{
		{"fg", "bg"}: text, {"fg", "soft"}: text, {"muted", "bg"}: text, {"muted", "soft"}: text,
		{"link", "bg"}: text, {"link", "soft"}: text, {"edge", "bg"}: edge,
		{"warn", "warn-bg"}: text, {"fg", "warn-bg"}: text, {"muted", "warn-bg"}: text, {"link", "warn-bg"}: text,
	}
	for _, kind := range []string{"good", "bad", "busy", "off"} {
		pairs[[2]string{kind, kind + "-bg"}] = text
	}
	for _, kind := range []string{"good", "bad", "warn", "busy", "off"} { // lines, signs and bars beside text
		pairs[[2]string{kind, "bg"}], pairs[[2]string{kind, "soft"}] = text, text
	}
	css := read(t, static, "static/style.css")
	property := regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{3,6});`)
	blocks := regexp.MustCompile(`(?s):root {(.*?)}`).FindAllStringSubmatch(css, -1)
	if len(blocks) != 3 {
		t.Fatalf("there are %d sets of colours: light, dark and print are needed", len(blocks))
	}
	for i, set := range []string{"light", "dark", "print"} {
		colors := map[string]float64{}
		for _, found := range property.FindAllStringSubmatch(blocks[i][1], -1) {
			colors[found[1]] = luminance(t, found[2])
		}
		for pair, least := range pairs {
			a, okA := colors[pair[0]]
			b, okB := colors[pair[1]]
			if !okA || !okB {
				t.Errorf("%s: %v: a colour is missing", set, pair)
			} else if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < least {
				t.Errorf("%s: %v: the contrast is %.2f, less than %.1f", set, pair, ratio, least)
			}
		}
	}
}

// luminance is the relative luminance of a colour: https://www.w3.org/TR/WCAG22/#dfn-relative-luminance.
func luminance(t *testing.T, hex string) (sum float64) {
	t.Helper()
	if len(hex) == 3 {
		hex = strings.Join([]string{hex[:1], hex[:1], hex[1:2], hex[1:2], hex[2:], hex[2:]}, "")
	}
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		channel, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(channel) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
