package rust

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// fixture is a real file, made by a release of iota-sdk (its tests/wallet/fixtures).
type fixture struct {
	name, password string
	kind           Kind
	info           Info
}

var fixtures = []fixture{
	{"v2.stronghold", "current_password", KindWallet, Info{Version: V2}},
	{"no_secret_manager_data.stronghold", "some_hopefully_secure_password", KindSDK, Info{Version: V3, Memory: 1 << 10}},
	{"v3_wf19.stronghold", "STRONGHOLD_PASSWORD", KindSDK, Info{Version: V3, WorkFactor: 19, Memory: 512 << 20}},
}

func readFixture(t testing.TB, name string) []byte {
	t.Helper()
	file, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestFixtures(t *testing.T) {
	for _, f := range fixtures {
		t.Run(f.name, func(t *testing.T) {
			if testing.Short() && f.info.WorkFactor > 15 {
				t.Skip("needs 512 MiB")
			}
			file := readFixture(t, f.name)
			before := bytes.Clone(file)
			if info, err := Detect(file); err != nil || info != f.info {
				t.Fatalf("Detect: %+v, %v; want %+v", info, err, f.info)
			}
			s, tried, err := OpenPassword(file, []byte(f.password), nil, f.kind, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if m := tried[len(tried)-1]; m.Err != nil || m.Method.Kind != f.kind {
				t.Errorf("fit: %+v", m)
			}
			if !bytes.Equal(file, before) {
				t.Error("the file was changed")
			}
			for _, c := range s.Clients {
				t.Logf("client %s", c.ID)
				for _, v := range c.Vaults {
					t.Logf("  vault %s", v.ID)
					for _, r := range v.Records {
						t.Logf("    record %s, %d bytes, hint of %d, revoked %v", r.ID, len(r.Secret), len(r.Hint), r.Revoked)
					}
				}
				for _, e := range c.Store {
					t.Logf("  entry %q, %d bytes, expires %v", e.Key, len(e.Value), e.Expires)
				}
			}
		})
	}
}

var _ = errors.Is
