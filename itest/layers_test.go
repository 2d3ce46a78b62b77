package itest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/stronghold-go/stronghold"

// layer is one row of the design's import table.
type layer struct {
	imports []string // of ours, as folders; "*" is all, but those in not
	not     []string // and what is below them
	pure    bool     // imports none of impure
	libp2p  bool     // may import libp2p
}

// layers is the import table: what a package imports itself, its tests aside. A
// package without a row may not be there.
var layers = map[string]layer{
	"protocol":    {pure: true},
	"permissions": {pure: true, imports: []string{"protocol"}},

	"sandbox/memory":    {},
	"sandbox/processor": {},
	"sandbox":           {imports: []string{"sandbox/memory", "sandbox/processor"}},

	// The algorithms import nothing of ours, so whoever needs one may have it: the
	// vault seals its records and derives its ids with them, because those of the
	// standard library leave copies of the key behind.
	"procedures/primitive": {pure: true},
	"vault":                {pure: true, imports: []string{"sandbox/memory", "procedures/primitive"}},
	"procedures":           {pure: true, imports: []string{"procedures/primitive", "protocol", "vault", "sandbox/memory"}},
	"snapshot/rust":        {pure: true, imports: []string{"sandbox/memory", "procedures/primitive"}},
	"snapshot":             {pure: true, imports: []string{"snapshot/rust", "vault", "sandbox/memory", "procedures/primitive"}},
	"sandbox/engine":       {pure: true, imports: []string{"protocol", "procedures", "snapshot", "snapshot/rust", "vault", "sandbox/memory"}},
	"sandbox/engine/zone":  {imports: []string{"sandbox", "sandbox/engine"}},

	"node/local":   {imports: []string{"protocol", "permissions", "sandbox"}},
	"node/control": {imports: []string{"protocol", "permissions", "sandbox/processor"}},
	"node/audit":   {imports: []string{"protocol", "permissions"}},
	"node/pair":    {imports: []string{"protocol", "permissions"}, libp2p: true},
	"node":         {imports: []string{"protocol", "permissions", "node/local", "node/control", "node/audit", "node/pair"}, libp2p: true},

	"cmd/shnode": {imports: []string{"*"}, not: []string{"vault", "procedures", "snapshot"}},
	"itest":      {imports: []string{"*"}},

	"itest/ratio": {}, // and so itest/compare, a module of its own, can measure other programs with it
}

// impure is what a package that only computes does not import, nor what is below it.
var impure = []string{"os", "net", "log/slog", "github.com/libp2p"}

// unreached is what nothing that runs in the zone reaches, over however many
// packages. (fmt itself reaches os. What a zone cannot do is held by the filter,
// and not by imports.)
var unreached = []string{"net", "os/exec", "github.com/libp2p"}

// nameless are names of packages that say nothing.
var nameless = []string{"utils", "util", "common", "types", "helpers", "misc"}

func TestLayers(t *testing.T) {
	// os.DirFS, not `go list`: the test cache sees which files are opened here, and
	// runs the test again when one of them changes.
	packages, err := readModule(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 10 {
		t.Fatalf("only %d packages found", len(packages))
	}
	for _, p := range layerProblems(packages, layers) {
		t.Error(p)
	}
}

// TestLayersFails has the check above fail, once for each of its reasons.
func TestLayersFails(t *testing.T) {
	table := map[string]layer{
		"protocol":   {pure: true},
		"vault":      {pure: true, imports: []string{"protocol"}},
		"node":       {imports: []string{"protocol"}, libp2p: true},
		"cmd/shnode": {imports: []string{"*"}, not: []string{"vault"}},
	}
	file := func(imports ...string) string {
		src := "package p\n"
		for _, i := range imports {
			src += fmt.Sprintf("import %q\n", i)
		}
		return src
	}
	good := map[string]string{
		"protocol/protocol.go":      file("fmt", "google.golang.org/protobuf/proto"),
		"protocol/protocol_test.go": file("os", "net", module+"/vault"), // tests may
		"vault/vault.go":            file("osteopathy", module+"/protocol"),
		"vault/testdata/x.go":       file("os"),
		"node/node.go":              file("net", "github.com/libp2p/go-libp2p", module+"/protocol"),
		"cmd/shnode/main.go":        file("os", "os/exec", module+"/node"),
		"bench/go.mod":              "module bench",
		"bench/bench.go":            file("github.com/libp2p/go-libp2p"),
	}
	tests := []struct{ name, file, content, want string }{
		{"as it should be", "", "", ""},
		{"up", "protocol/up.go", file(module + "/vault"), "protocol imports vault"},
		{"for one system only", "protocol/up_windows.go", "//go:build windows\n\n" + file(module+"/node"), "protocol imports node"},
		{"the module itself", "vault/root.go", file(module), "vault imports ."},
		{"os", "vault/file.go", file("os"), "vault imports os"},
		{"below os", "vault/file.go", file("os/exec"), "vault imports os/exec"},
		{"below net", "protocol/http.go", file("net/http"), "protocol imports net/http"},
		{"slog", "vault/log.go", file("log/slog"), "vault imports log/slog"},
		{"libp2p in a pure package", "vault/peer.go", file("github.com/libp2p/go-libp2p/core/peer"), "vault imports github.com/libp2p/go-libp2p/core/peer"},
		{"libp2p in another", "cmd/shnode/peer.go", file("github.com/libp2p/go-libp2p/core/peer"), "cmd/shnode imports github.com/libp2p/go-libp2p/core/peer"},
		{"what all but some may", "cmd/shnode/vault.go", file(module + "/vault"), "cmd/shnode imports vault"},
		{"below what all but some may", "cmd/shnode/vault.go", file(module + "/vault/deep"), "cmd/shnode imports vault/deep"},
		{"no row", "node/relay/relay.go", file(), "node/relay has no row"},
		{"a name that says nothing", "node/utils/utils.go", file(), "node/utils has a name that says nothing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree := fstest.MapFS{}
			for name, content := range good {
				tree[name] = &fstest.MapFile{Data: []byte(content)}
			}
			if tt.file != "" {
				tree[tt.file] = &fstest.MapFile{Data: []byte(tt.content)}
			}
			packages, err := readModule(tree)
			if err != nil {
				t.Fatal(err)
			}
			problems := layerProblems(packages, table)
			switch {
			case tt.want == "" && len(problems) > 0:
				t.Errorf("found %q", problems)
			case tt.want != "" && !slices.ContainsFunc(problems, func(p string) bool { return strings.HasPrefix(p, tt.want) }):
				t.Errorf("found %q, not %q", problems, tt.want)
			}
		})
	}
	if _, err := readModule(fstest.MapFS{"vault/vault.go": {Data: []byte("no Go")}}); err == nil {
		t.Error("a file that cannot be read was passed over")
	}
}

// TestZoneReaches walks what the zone is made of, to the bottom, on each system.
//
// Below the module's own packages `go list` says who imports whom. The test
// cache does not see what that reads; but its answer follows from the module's
// own files and go.mod and go.sum, all of which this test has opened itself, and
// from the version of Go, which is part of the cache's key.
func TestZoneReaches(t *testing.T) {
	root := os.DirFS("..")
	if _, err := readModule(root); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		if _, err := fs.ReadFile(root, name); err != nil {
			t.Fatal(err)
		}
	}
	zone := module + "/sandbox/engine/zone"
	for _, system := range []string{"linux", "darwin", "windows"} {
		t.Run(system, func(t *testing.T) {
			imports := listDeps(t, system, zone)
			for _, must := range []string{module + "/vault", module + "/sandbox/memory", "crypto/sha512"} {
				if imports[must] == nil {
					t.Fatalf("%s is not among the %d packages that were walked", must, len(imports))
				}
			}
			// Every Windows program that calls the system by this package has net in it, for the
			// sake of one method that returns a net.IP.
			const windows = "golang.org/x/sys/windows"
			imports[windows] = slices.DeleteFunc(imports[windows], func(p string) bool { return p == "net" })
			for _, p := range reachProblems(zone, imports, unreached) {
				t.Error(p)
			}
		})
	}
}

// TestZoneReachesFails has the check above fail.
func TestZoneReachesFails(t *testing.T) {
	imports := map[string][]string{"zone": {"a", "b"}, "a": {"fmt"}, "b": {"a", "c"}, "c": {"net/http"}, "fmt": {"os"},
		"net/http": {"net"}, "elsewhere": {"os/exec"}}
	want := []string{"zone → b → c → net/http", "zone → b → c → net/http → net"}
	if got := reachProblems("zone", imports, unreached); !slices.Equal(got, want) {
		t.Errorf("found %q, not %q", got, want)
	}
}

// readModule returns what each package of a module imports, by its folder, from
// all files but tests: also from those for another system than this one.
func readModule(fsys fs.FS) (map[string][]string, error) {
	packages := map[string][]string{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if d.IsDir() {
			if name == "." {
				return nil
			}
			if base == "testdata" || base == "vendor" || base[0] == '.' || base[0] == '_' {
				return fs.SkipDir
			}
			if _, err := fs.Stat(fsys, name+"/go.mod"); !errors.Is(err, fs.ErrNotExist) {
				return fs.SkipDir // a module of its own
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
		if err != nil {
			return err
		}
		folder := path.Dir(name)
		if _, ok := packages[folder]; !ok {
			packages[folder] = []string{}
		}
		if strings.HasSuffix(name, "_test.go") {
			return nil
		}
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if !slices.Contains(packages[folder], imported) {
				packages[folder] = append(packages[folder], imported)
			}
		}
		return nil
	})
	return packages, err
}

// layerProblems holds packages against a table.
func layerProblems(packages map[string][]string, table map[string]layer) (problems []string) {
	report := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for _, folder := range slices.Sorted(maps.Keys(packages)) {
		if slices.Contains(nameless, path.Base(folder)) {
			report("%s has a name that says nothing", folder)
		}
		row, ok := table[folder]
		if !ok {
			report("%s has no row in the table of layers", folder)
			continue
		}
		for _, imported := range packages[folder] {
			if imported == module || below(imported, module) {
				ours := strings.TrimPrefix(strings.TrimPrefix(imported, module), "/")
				if ours == "" {
					ours = "."
				}
				if !row.mayImport(ours) {
					report("%s imports %s, which is not in its row", folder, ours)
				}
				continue
			}
			switch {
			case row.pure && atOrBelow(imported, impure):
				report("%s imports %s, and should only compute", folder, imported)
			case !row.libp2p && atOrBelow(imported, []string{"github.com/libp2p"}):
				report("%s imports %s: only the node knows the network", folder, imported)
			}
		}
	}
	return problems
}

func (l layer) mayImport(folder string) bool {
	if slices.Contains(l.imports, "*") {
		return folder != "." && !atOrBelow(folder, l.not)
	}
	return slices.Contains(l.imports, folder)
}

func below(name, folder string) bool { return strings.HasPrefix(name, folder+"/") }

func atOrBelow(name string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return name == f || below(name, f) })
}

// reachProblems walks from a package and returns the shortest way to each
// package that should not be reached.
func reachProblems(from string, imports map[string][]string, unreached []string) (problems []string) {
	by := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, next := range imports[queue[0]] {
			if _, seen := by[next]; seen {
				continue
			}
			by[next] = queue[0]
			queue = append(queue, next)
			if !atOrBelow(next, unreached) {
				continue
			}
			way := next
			for at := by[next]; at != ""; at = by[at] {
				way = at + " → " + way
			}
			problems = append(problems, way)
		}
	}
	return problems
}

// listDeps returns what each package that a package is made of imports.
func listDeps(t *testing.T, system, of string) map[string][]string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports", of)
	cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH=amd64", "CGO_ENABLED=0")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	imports := map[string][]string{}
	dec := json.NewDecoder(bufio.NewReader(out))
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Errorf("go list: %v", err)
			break
		}
		imports[p.ImportPath] = append([]string{}, p.Imports...)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("go list: %v: %s", err, stderr.String())
	}
	return imports
}
