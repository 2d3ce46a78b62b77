package rust

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha512"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// fixture is a real file, written by a release of iota-sdk and part of its own tests (sdk/tests/wallet/fixtures). The
// mnemonics are those that its tests name for them: what a file holds is checked against something that no Stronghold
// has touched.
type fixture struct {
	name, password, mnemonic string
	kind                     Kind
	info                     Info
}

var fixtures = []fixture{
	{
		name: "v2.stronghold", password: "current_password", kind: KindWallet, info: Info{Version: V2},
		mnemonic: "winter spend artefact viable cigar pink easy charge ranch license coyote cage " +
			"brass mushroom repair game attack peanut glad rather cart obey famous chat",
	}, {
		name: "no_secret_manager_data.stronghold", password: "some_hopefully_secure_password", kind: KindSDK,
		info: Info{Version: V3, WorkFactor: 0, Memory: 1 << 10},
		mnemonic: "inhale gorilla deny three celery song category owner lottery rent author wealth " +
			"penalty crawl hobby obtain glad warm early rain clutch slab august bleak",
	}, {
		name: "v3_wf19.stronghold", password: "STRONGHOLD_PASSWORD", kind: KindSDK,
		info: Info{Version: V3, WorkFactor: 19, Memory: 512 << 20},
		mnemonic: "width scatter jaguar sponsor erosion enable cave since ancient first garden royal " +
			"luggage exchange ritual exotic play wall clinic ride autumn divert spin exchange",
	},
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

			seed, err := pbkdf2.Key(sha512.New, f.mnemonic, []byte("mnemonic"), 2048, 64) // BIP39
			if err != nil {
				t.Fatal(err)
			}
			if len(s.Clients) != 1 || len(s.Clients[0].Vaults) != 1 || len(s.Clients[0].Vaults[0].Records) != 1 {
				t.Fatalf("unexpected content: %+v", s)
			}
			c := s.Clients[0]
			v := c.Vaults[0]
			r := v.Records[0]
			if c.ID != ClientID([]byte("iota_seed")) || len(c.Store) != 0 {
				t.Errorf("client %v with %d entries", c.ID, len(c.Store))
			}
			if v.ID != VaultID([]byte("iota-wallet-secret")) {
				t.Errorf("vault %v", v.ID)
			}
			if r.ID != RecordID([]byte("iota-wallet-secret"), []byte("iota-wallet-seed")) || r.Revoked {
				t.Errorf("record %v, revoked %v", r.ID, r.Revoked)
			}
			if !bytes.Equal(r.Secret, seed) {
				t.Error("the seed is not that of the mnemonic")
			}
		})
	}
}

func TestFixtureWrongPassword(t *testing.T) {
	for _, f := range fixtures {
		if f.info.WorkFactor > 15 {
			continue // TestFixtureExpensive
		}
		file := readFixture(t, f.name)
		for _, password := range []string{"", f.password + " ", f.password[:len(f.password)-1], "wrong"} {
			s, tried, err := OpenPassword(file, []byte(password), []byte("a salt of some length"), "", Options{})
			if s != nil || !errors.Is(err, ErrWrongKey) {
				t.Errorf("%s with a wrong password: %v", f.name, err)
			}
			if len(tried) < 4 {
				t.Errorf("%s: %d attempts", f.name, len(tried))
			}
		}
	}
}

func TestFixtureExpensive(t *testing.T) {
	f := fixtures[2]
	file := readFixture(t, f.name)
	var expensive *ExpensiveError
	_, tried, err := OpenPassword(file, []byte(f.password), nil, f.kind, Options{MaxScryptMemory: 512<<20 - 1})
	if !errors.As(err, &expensive) || *expensive != (ExpensiveError{"scrypt", 512 << 20, 512<<20 - 1}) {
		t.Errorf("%v", err)
	}
	if len(tried) != 1 {
		t.Errorf("%d attempts, want the search to end with the first", len(tried))
	}
	if testing.Short() {
		return
	}
	if _, _, err := OpenPassword(file, []byte("wrong"), nil, f.kind, Options{}); !errors.Is(err, ErrWrongKey) {
		t.Errorf("wrong password: %v", err)
	}
}

// Every bit of the two cheap fixtures counts: what is flipped is noticed, and what is cut off too.
func TestFixtureDamage(t *testing.T) {
	for _, f := range fixtures[:2] {
		file := readFixture(t, f.name)
		m := Methods(f.info.Version, f.kind)[0]
		key, err := m.Key([]byte(f.password), nil, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(file, key, Options{}); err != nil {
			t.Fatal(err)
		}
		// A flipped digit of the work factor must not ask for gigabytes.
		limit := Options{MaxScryptMemory: 1 << 20}
		stages := make(map[string]int)
		for i := range file {
			for bit := range 8 {
				if testing.Short() && bit != i%8 {
					continue
				}
				bad := bytes.Clone(file)
				bad[i] ^= 1 << bit
				s, err := Open(bad, key, limit)
				if s != nil || err == nil {
					t.Fatalf("%s: bit %d of byte %d was flipped unnoticed", f.name, bit, i)
				}
				stages[classify(t, err)]++
			}
		}
		t.Logf("%s: %v", f.name, stages)
		for n := range file {
			s, err := Open(file[:n], key, limit)
			if s != nil || err == nil {
				t.Fatalf("%s: cut at byte %d unnoticed", f.name, n)
			}
			classify(t, err)
		}
		if s, err := Open(append(bytes.Clone(file), 0), key, limit); s != nil || err == nil {
			t.Fatalf("%s: a byte was appended unnoticed", f.name)
		}
	}
}

// classify fails for an error that is not of the types that the package promises.
func classify(t testing.TB, err error) string {
	t.Helper()
	var damaged *DamagedError
	var version *UnsupportedVersionError
	var expensive *ExpensiveError
	switch {
	case errors.Is(err, ErrWrongKey):
		return "wrong key"
	case errors.Is(err, ErrNotSnapshot):
		return "not a snapshot"
	case errors.As(err, &version):
		return "version"
	case errors.As(err, &expensive):
		return "expensive"
	case errors.As(err, &damaged):
		return string(damaged.Stage)
	}
	t.Fatalf("unexpected error: %v", err)
	return ""
}
