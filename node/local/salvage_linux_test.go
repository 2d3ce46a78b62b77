package local_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
)

// A file that the program itself has made unreadable is had whole, with what was
// acknowledged behind the damage.
func TestSalvageBricked(t *testing.T) {
	if raceDetector {
		t.Skip("the password hash takes too long")
	}
	bricked := filepath.Join("testdata", "bricked.stronghold")
	secret := []byte(passphrase)
	if _, err := local.Verify(t.Context(), bricked, local.VerifyOptions{Secret: secret}); !errors.Is(err, protocol.ErrDamaged) {
		t.Fatalf("it opens: %v", err)
	}
	cfg := quickHome(t)
	v, replaced, err := local.Restore(t.Context(), cfg, bricked, local.RestoreOptions{Secret: secret, Salvage: true, AcceptOlder: true})
	if err != nil || replaced == "" || v.Changes != 14 {
		t.Fatalf("%+v, %q, %v", v, replaced, err)
	}
	if s := v.Salvaged; s.Clients != 2 || s.Records != 3 || s.Values != 2 || len(s.Damage) != 1 || s.Damage[0].Lost || s.Damage[0].Where != "entry without parts" {
		t.Errorf("it tells of %v", v.Salvaged)
	}
	s := open(t, cfg)
	unlock(t, s)
	for _, key := range []string{"before", "after"} {
		at := &protocol.Location{Client: []byte("wallet"), Vault: []byte(key)}
		if resp, err := s.Client().Do(t.Context(), &protocol.Request{Operation: "store.get", Location: at}); err != nil || string(resp.Value) != "1" {
			t.Errorf("wallet/%s: %v", key, err)
		}
	}
	for record, want := range map[string]string{"main": "qWqoI3M5ZjtQcYoHikNXs7xzLv5jps+Kd+AK/vpiR0c=", "later": "8lImh7Tvq8asM6E60ErBWllxiqCgcbgwUzSNX+nc/xc="} {
		at := &protocol.Location{Client: []byte("wallet"), Vault: []byte("keys"), Record: []byte(record)}
		if _, public, err := s.Client().PublicKey(t.Context(), at); err != nil || base64.StdEncoding.EncodeToString(public) != want {
			t.Errorf("wallet/keys/%s: %x, %v", record, public, err)
		}
		if _, err := s.Client().Sign(t.Context(), at, []byte("message")); err != nil {
			t.Errorf("wallet/keys/%s: %v", record, err)
		}
	}
	if err := put(t.Context(), s, "new", []byte("value")); err != nil {
		t.Error(err)
	}
}

// What is salvaged is a file of its own: the damaged one stays, and so does what has the
// new one's name already.
func TestSalvage(t *testing.T) {
	cfg, path := used(t, "a", "b", "c", "d")
	good := read(t, path)
	damaged := bytes.Clone(good)
	damaged[len(damaged)-200] ^= 1
	write(t, path, damaged)
	secret := []byte(passphrase)
	if _, err := local.Verify(t.Context(), path, local.VerifyOptions{Secret: secret}); !errors.Is(err, protocol.ErrDamaged) {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	if _, err := local.Verify(t.Context(), path, local.VerifyOptions{Secret: []byte("wrong"), Salvage: out}); !errors.Is(err, protocol.ErrWrongKey) {
		t.Errorf("with a wrong passphrase: %v", err)
	}
	if _, err := os.Stat(out); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it has left a file behind: %v", err)
	}
	v, err := local.Verify(t.Context(), path, local.VerifyOptions{Secret: secret, Salvage: out})
	if err != nil || len(v.Salvaged.Damage) != 1 || !v.Salvaged.Damage[0].Lost {
		t.Fatalf("%+v, %v", v, err)
	}
	saved := read(t, out)
	if _, err := local.Verify(t.Context(), path, local.VerifyOptions{Secret: secret, Salvage: out}); !errors.Is(err, fs.ErrExist) || !bytes.Equal(read(t, out), saved) {
		t.Errorf("onto a file that is there: %v", err)
	}
	again, err := local.Verify(t.Context(), out, local.VerifyOptions{Secret: secret})
	if err != nil || again.Changes != v.Changes {
		t.Errorf("what was salvaged: %+v, %v", again, err)
	}
	if !bytes.Equal(read(t, path), damaged) {
		t.Error("the damaged file was changed")
	}
	whole := write(t, filepath.Join(t.TempDir(), "whole"), good)
	if v, err := local.Verify(t.Context(), whole, local.VerifyOptions{Secret: secret, Salvage: out + "2"}); err != nil || len(v.Salvaged.Damage) != 0 || v.Salvaged.Values != 4 {
		t.Errorf("of a whole file: %+v, %v", v, err)
	}

	// The home's own. It has lost a change, or the last ones, of which the node knows: a person has to say yes then.
	o := local.RestoreOptions{Secret: secret, Salvage: true}
	v, replaced, err := local.Restore(t.Context(), cfg, path, o)
	if errors.Is(err, protocol.ErrOlder) {
		o.AcceptOlder = true
		v, replaced, err = local.Restore(t.Context(), cfg, path, o)
	}
	if err != nil || !bytes.Equal(read(t, replaced), damaged) || len(v.Salvaged.Damage) != 1 {
		t.Fatalf("%+v, %q, %v", v, replaced, err)
	}
	s := open(t, cfg)
	unlock(t, s)
	if all := has(t, s, "a", "b", "c", "d"); len(all) != int(v.Salvaged.Values) || len(all) < 3 {
		t.Errorf("%q is left", all)
	}
}
