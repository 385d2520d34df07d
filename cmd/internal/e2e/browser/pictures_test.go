package browser

import (
	"bytes"
	"cmp"
	"flag"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/page"
)

var pictures = flag.String("pictures", "", "folder for pictures of the pages; none are taken if it is not set")

// TestPictures takes the pictures of the documentation.
func TestPictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("no pictures are taken: make pictures does")
	}
	w := newWorld(t)
	w.day()
	b := startChromium(t).open(t, w.Admin)
	failed := w.newestID("builds", "rule=checkout&result=failure&job_id="+browserJob)
	for _, p := range []struct {
		name, path, scheme string
		width              int64
	}{
		{"page-first", "/", "light", 1200},
		{"page-builds", "/builds", "light", 1200},
		{"page-build", "/builds/" + failed, "light", 1200},
		{"page-build-dark", "/builds/" + failed, "dark", 1200},
		{"page-build-narrow", "/builds/" + failed, "light", 400},
		{"page-delivery", "/deliveries/" + w.newestID("deliveries", "outcome=ignored&reason=no_match"), "light", 1200},
		{"page-rule", "/rules/cart", "light", 1200},
		{"page-targets", "/targets", "light", 1200},
	} {
		b.width(p.width)
		b.scheme(p.scheme)
		b.open(p.path)
		b.picture(filepath.Join(*pictures, p.name+".png"))
	}
}

// picture writes what the page shows, from its top and at most 1,100 px of it, into a file of less than 100 kB.
func (b *tab) picture(file string) {
	b.t.Helper()
	size := ask[[]float64](b, `() => [document.documentElement.clientWidth, Math.min(1100, document.body.getBoundingClientRect().bottom)]`)
	all := true
	taken := command(b, page.CaptureScreenshot, page.CaptureScreenshotParams{
		Clip: &page.Viewport{Width: size[0], Height: size[1], Scale: 1}, CaptureBeyondViewport: &all,
	})
	full, err := png.Decode(bytes.NewReader(taken.Data))
	if err != nil {
		b.t.Fatal(err)
	}
	var small bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, indexed(full)); err != nil {
		b.t.Fatal(err)
	}
	if small.Len() > 100_000 {
		b.t.Errorf("%s has %d bytes", file, small.Len())
	}
	if err := os.WriteFile(file, small.Bytes(), 0o644); err != nil {
		b.t.Error(err)
	}
}

// indexed is a picture with its 256 most frequent colors, a quarter of the size. Other colors, which are on edges
// of letters, become the next of these.
func indexed(full image.Image) *image.Paletted {
	counts := map[color.Color]int{}
	bounds := full.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			counts[full.At(x, y)]++
		}
	}
	frequent := slices.SortedFunc(maps.Keys(counts), func(a, b color.Color) int { return cmp.Compare(counts[b], counts[a]) })
	out := image.NewPaletted(bounds, frequent[:min(256, len(frequent))])
	draw.Draw(out, bounds, full, bounds.Min, draw.Src)
	return out
}
