package itest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/stronghold-go/stronghold/protocol"
)

// save has the whole state written anew, several times, and searches all files of
// the home meanwhile: those that are there for a moment, too.
func (h *hunt) save() {
	t := h.t
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var looking sync.WaitGroup
	temporary := make(map[string]bool)
	looking.Go(func() {
		for ctx.Err() == nil {
			h.searchFiles(temporary)
		}
	})
	for range 8 {
		h.do(&protocol.Request{Operation: "snapshot.save"})
	}
	stop()
	looking.Wait()
	t.Logf("files: %v", temporary)
}

// searchFiles reads every file below the home, and notes their names.
func (h *hunt) searchFiles(names map[string]bool) {
	err := filepath.WalkDir(h.p.home, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it was there for a moment
		}
		names[d.Name()] = true
		if found := h.secrets.in(b); len(found) > 0 {
			h.t.Errorf("in %s: %v", d.Name(), found[:min(20, len(found))])
		}
		return err
	})
	if err != nil {
		h.t.Error(err)
	}
}

// refusals has the node refuse what holds a secret, and searches what it says.
func (h *hunt) refusals() {
	t := h.t
	t.Helper()
	wrong := strings.Replace(h.mwords, " ", " x", 1)
	twice := h.seal(&protocol.Request{Operation: "bip39.recover", Location: h.at("twice"), Overwrite: true}, h.mwords, h.mpass)
	h.do(twice)
	refuse := func(what string, err error) {
		t.Helper()
		if e := (*protocol.Error)(nil); !errors.As(err, &e) {
			t.Errorf("%s: %v", what, err)
			return
		}
		if found := h.secrets.in([]byte(err.Error())); len(found) > 0 {
			t.Errorf("%s: in the error: %v", what, found)
		}
	}
	ask := func(req *protocol.Request) error {
		_, err := h.c.Do(t.Context(), req)
		return err
	}
	refuse("a wrong word", ask(h.seal(&protocol.Request{Operation: "bip39.recover", Location: h.at("wrong")}, wrong, h.mpass)))
	refuse("a word too few", ask(h.seal(&protocol.Request{Operation: "bip39.recover", Location: h.at("wrong")}, h.mwords[:strings.LastIndex(h.mwords, " ")], h.mpass)))
	refuse("sealed values that come again", ask(twice))
	_, err := h.c.ImportKey(t.Context(), h.at("wrong"), protocol.Ed25519, h.raw, false)
	refuse("a key of a wrong size", err)
	_, err = h.c.ImportKey(t.Context(), h.at("key"), protocol.Ed25519, h.key, false)
	refuse("a key that is there", err)
	_, err = h.c.ImportKey(t.Context(), h.at("wrong"), "no such kind", h.key, false)
	refuse("a kind that is none", err)
	refuse("unlocked already", h.c.Unlock(t.Context(), []byte(h.typed)))
	h.search("after refusals")
}

// terminate ends the node, and searches what it leaves behind: files and log.
func (h *hunt) terminate() {
	t := h.t
	t.Helper()
	if err := h.p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := h.p.wait(t); code != 0 {
		t.Errorf("it ended with %d: %s", code, &h.p.out)
	}
	if found := h.secrets.in(h.p.out.Bytes()); len(found) > 0 {
		t.Errorf("in the log: %v", found)
	}
	names := make(map[string]bool)
	h.searchFiles(names)
	for _, name := range []string{"vault.stronghold", "state.db", "config.toml", "identity.key"} {
		if !names[name] {
			t.Errorf("%s was not searched, of %v", name, names)
		}
	}
}
