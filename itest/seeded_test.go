//go:build seeded

package itest

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// faults each undo one line that keeps a promise: a bound, a check, an order, or that
// something is given back when the work has ended. Each is found by a model or a fuzz test:
// by the seed below, in this order, after 38, 3, 2, 3, 3, 3, 7, 17, 4, 33, 601, 15, 2, 4, 3
// and 13 steps. The program itself knows nothing of them: the compiler is given another
// file in the place of the real one.
var faults = []struct {
	name, file, line, instead string
	pkg, run                  string
}{
	{"a change of nothing is an entry", "vault/change.go", "\tcase len(tx.edits) > 0:\n", "\tcase true:\n", "./sandbox/engine", "^FuzzChanges$"},
	{"a change of nothing does not wait for what it rests on", "vault/change.go", "\t\treturn &Change{Sequence: db.seq}, nil\n", "\t\treturn nil, nil\n", "./vault", "^TestModel$"},
	{"an abort leaves one change", "vault/change.go", "\tdb.staged = db.staged[:i]\n", "\tdb.staged = db.staged[:min(i+1, len(db.staged))]\n", "./vault", "^TestModel$"},
	{"an abort does not give numbers back", "vault/change.go", "\tdb.seq = db.staged[i].Sequence - 1\n", "", "./vault", "^TestModel$"},
	{"a commit lets one change more be seen", "vault/change.go", "db.staged[0].Sequence > seq {", "db.staged[0].Sequence > seq+1 {", "./vault", "^TestModel$"},
	{"what is staged is not counted against the limits", "vault/change.go", "\tdb.seq++\n\tc := &Change{Sequence: db.seq, Edits: tx.edits}\n\tdb.staged = append(db.staged, c)\n\tfor i := range c.Edits {\n", "\tdb.seq++\n\tc := &Change{Sequence: db.seq, Edits: tx.edits}\n\tdb.staged = append(db.staged, c)\n\tfor i := range 0 {\n", "./vault", "^TestModel$"},
	{"a sealed value is taken again", "sandbox/engine/inbox.go", "_, again := g.seen[sealed]; again {", "_, again := g.seen[sealed]; again && false {", "./sandbox/engine", "^TestInboxModel$"},
	{"a peer takes all room for what was seen", "sandbox/engine/inbox.go", "\treturn g.by[asker] < b.room-b.room/4-g.guests\n", "\treturn len(g.seen) < b.room\n", "./sandbox/engine", "^TestInboxModel$"},
	{"a removed peer's queue goes on", "node/turns.go", "\tif !tn.alive() {\n", "\tif false {\n", "./node", "^TestTurnsModel$"},
	{"turns have no order", "node/turns.go", "return b[i].paid < b[j].paid", "return false", "./node", "^TestTurnsModel$"},
	{"a queue has no bound", "node/turns.go", "owed > maxOwed && len", "owed > 1000*maxOwed && len", "./node", "^TestTurnsModel$"},
	{"a cursor is good for every peer", "node/cursor.go", "append([]byte(id), b...)...)", "b...)", "./node", "^TestCursorsModel$"},
	{"a turn comes back twice, and so that of another before his work has ended", "node/turns.go", "\ttn.ended = true\n", "", "./node", "^TestTurnsModel$"},
	{"a slot comes back before the work", "protocol/server.go", "\t\t\tdefer v.done(release)\n\t\t\tv.reply", "\t\t\tv.done(release)\n\t\t\tv.reply", "./protocol", "^TestServerModel$"},
	{"a quota is not reserved", "node/local/usage.go", "\tu.underway.add(sp.bound.amounts)\n", "", "./node/local", "^TestUsageModel$"},
	{"what is sealed is not read before", "snapshot/journal.go", "if !j.again.edits(b[at:], p) {", "if !j.again.edits(b[at:], p) && false {", "./snapshot", "^TestJournalModel$"},
}

// TestSeededFaults puts each fault into the program, alone, and has it found: a test that
// hangs has found nothing, nor has one that cannot say after how many steps. It is
// behind a build tag of its own: go test -tags seeded -run SeededFaults -v ./itest
func TestSeededFaults(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			path, err := filepath.Abs(filepath.Join("..", filepath.FromSlash(f.file)))
			if err != nil {
				t.Fatal(err)
			}
			text := readText(t, path)
			if n := strings.Count(text, f.line); n != 1 {
				t.Fatalf("%s has the line %d times", f.file, n)
			}
			dir := t.TempDir()
			faulty := filepath.Join(dir, filepath.Base(path))
			if err := os.WriteFile(faulty, []byte(strings.Replace(text, f.line, f.instead, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: faulty}})
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			begun := time.Now()
			cmd := exec.CommandContext(ctx, "go", "test", "-overlay", filepath.Join(dir, "overlay.json"), "-count", "1", "-run", f.run, "-timeout", "20s", "-v", f.pkg,
				"-rapid.seed", "1", "-rapid.nofailfile", "-rapid.shrinktime", "0s")
			cmd.Dir = ".."
			out, err := cmd.CombinedOutput()
			found := regexp.MustCompile(`found after (\d+ steps)`).FindSubmatch(out)
			switch {
			case bytes.Contains(out, []byte("[build failed]")):
				t.Fatalf("it does not build: %s", out)
			case bytes.Contains(out, []byte("panic: test timed out")):
				t.Fatal("nobody has found it: a test hangs")
			case err == nil:
				t.Fatal("nobody has found it")
			case found == nil:
				t.Fatalf("something else has failed: %s", out)
			}
			t.Logf("found by %s %s after %s; %.1f s, with building", f.pkg, f.run, found[1], time.Since(begun).Seconds())
		})
	}
}
