package chart

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// Where the schemas come from, as Go modules: `go mod download` verifies them.
const (
	kubernetes = "k8s.io/kubernetes@v" + kubeVersion
	gatewayAPI = "sigs.k8s.io/gateway-api@v1.6.3"
	monitoring = "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring@v0.80.0"
)

// writeSchemas makes a folder of JSON schemas for kubeconform: of Kubernetes' own objects from its OpenAPI description, of the others from
// their CustomResourceDefinitions. Unknown fields are refused.
func writeSchemas(t *testing.T, controllerGen string) string {
	t.Helper()
	dir := t.TempDir()
	kubernetesSchemas(t, dir, filepath.Join(module(t, kubernetes), "api/openapi-spec/swagger.json"))
	crds := t.TempDir()
	cmd := exec.CommandContext(t.Context(), controllerGen, "crd", "paths=./v1", "output:crd:dir="+crds)
	cmd.Dir = module(t, monitoring)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("controller-gen: %v\n%s", err, out)
	}
	for _, file := range []string{
		crds + "/monitoring.coreos.com_servicemonitors.yaml",
		crds + "/monitoring.coreos.com_podmonitors.yaml",
		crds + "/monitoring.coreos.com_prometheusrules.yaml",
		module(t, gatewayAPI) + "/config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
	} {
		crdSchemas(t, dir, file)
	}
	return dir
}

// module downloads a module, if it is not there, and gives its folder.
func module(t *testing.T, path string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", path)
	cmd.Dir = t.TempDir() // no module of ours: its version is not one that we need
	out, err := cmd.Output()
	var m struct{ Dir string }
	if err != nil || json.Unmarshal(out, &m) != nil {
		t.Fatalf("go mod download %s: %v\n%s", path, err, out)
	}
	return m.Dir
}

func kubernetesSchemas(t *testing.T, dir, swagger string) {
	t.Helper()
	text, err := os.ReadFile(swagger)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Definitions map[string]map[string]any `json:"definitions"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	for name, d := range doc.Definitions {
		strict(d)
		if kinds, _ := d["x-kubernetes-group-version-kind"].([]any); len(kinds) == 1 { // several: options of calls
			k := kinds[0].(map[string]any)
			write(t, dir, schemaName(k["group"].(string), k["kind"].(string), k["version"].(string)), map[string]any{"$ref": "definitions.json#/definitions/" + name})
		}
	}
	write(t, dir, "definitions", map[string]any{"definitions": doc.Definitions})
}

func crdSchemas(t *testing.T, dir, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Group string `yaml:"group"`
			Names struct {
				Kind string `yaml:"kind"`
			} `yaml:"names"`
			Versions []struct {
				Name   string `yaml:"name"`
				Schema struct {
					OpenAPI map[string]any `yaml:"openAPIV3Schema"`
				} `yaml:"schema"`
			} `yaml:"versions"`
		} `yaml:"spec"`
	}
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatal(err)
	}
	for _, v := range crd.Spec.Versions {
		strict(v.Schema.OpenAPI)
		v.Schema.OpenAPI["properties"].(map[string]any)["metadata"] = map[string]any{
			"$ref": "definitions.json#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
		}
		write(t, dir, schemaName(crd.Spec.Group, crd.Spec.Names.Kind, v.Name), v.Schema.OpenAPI)
	}
}

// strict makes a schema refuse the fields that it does not know, as the API server
// does where it is asked to.
func strict(schema map[string]any) {
	if _, ok := schema["properties"]; ok && schema["additionalProperties"] == nil && schema["x-kubernetes-preserve-unknown-fields"] != true {
		schema["additionalProperties"] = false
	}
	if schema["format"] == "int-or-string" {
		schema["type"] = []any{"integer", "string"}
	}
	if description, _ := schema["description"].(string); strings.HasPrefix(description, "Quantity is ") {
		schema["type"] = []any{"number", "string"}
	}
	for key, value := range schema {
		switch key {
		case "properties", "patternProperties":
			for _, v := range value.(map[string]any) {
				strict(v.(map[string]any))
			}
		case "items", "additionalProperties", "not":
			if v, ok := value.(map[string]any); ok {
				strict(v)
			}
		}
	}
}

// schemaName is the name by which kubeconform asks for a schema:
// deployment-apps-v1, service-v1.
func schemaName(group, kind, version string) string {
	name := kind
	if group != "" {
		first, _, _ := strings.Cut(group, ".")
		name += "-" + first
	}
	return strings.ToLower(name + "-" + version)
}

func write(t *testing.T, dir, name string, schema map[string]any) {
	t.Helper()
	text, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}
