package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// The compose file is for one machine: it publishes ports on loopback only, pins its images,
// mounts files that exist, and the bridge accepts its rules.
func TestCompose(t *testing.T) {
	t.Parallel()
	const dir = "../../docs/compose"
	text, err := os.ReadFile(filepath.Join(dir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services map[string]struct {
			Image          string
			Ports, Volumes []string
		}
	}
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	if len(compose.Services) != 5 {
		t.Errorf("%d services, want 5", len(compose.Services))
	}
	pinned := regexp.MustCompile(`^docker\.io/.+:v?[0-9]+\.[0-9.]+$`)
	for name, service := range compose.Services {
		if !pinned.MatchString(service.Image) && !strings.Contains(service.Image, "registry.example.com/buildbridge") {
			t.Errorf("%s: the image %q has no version", name, service.Image)
		}
		for _, port := range service.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s: port %s is open to others", name, port)
			}
		}
		for _, volume := range service.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if !strings.HasPrefix(source, ".") {
				continue // compose makes it
			}
			if _, err := os.Stat(filepath.Join(dir, source)); err != nil {
				t.Errorf("%s mounts what is not there: %v", name, err)
			}
		}
	}
	if out, err := exec.CommandContext(t.Context(), "buildbridge", "check", "--rules", filepath.Join(dir, "rules")).CombinedOutput(); err != nil {
		t.Errorf("its rules: %v\n%s", err, out)
	}
}
