package rust

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// containerVectors are of the tests of the Rust engine: an empty plaintext, without the LZ4 layer.
var containerVectors = []struct{ name, key, file string }{
	{
		"v2", "cd250a0b070632dc521cfe35805b2846763a4c698d61d85d3b55f115b9a769da",
		"50415254490200665c393f383466881adbbc788ff49389f2268f9b6d43084e9ff8bfc945b09501ac469b5ad0e666eada7c7566a295574a",
	},
	{
		"v3 a", "683bd3d6957bf7276d0a616304f1610c57689a96d90118762f4caa9de9bc5bb6",
		"504152544903006167652d656e6372797074696f6e2e6f72672f76310a2d3e20736372797074202f754a34476a537776342b562f654546" +
			"414e43586c512031310a705336736f573047302f63577a62434765534b6f35374b53614d52523842574c37435846664437383956340a2d" +
			"2d2d206d73664263594c42686a526c785764727235624344367a5749774c586c6c4b5748706e4f65465732314c6b0a7903bc73e10ddb40" +
			"152023255131650ec8c19d09c1c7c896db83ea0cc6a90d47",
	},
	{
		"v3 b", "cd250a0b070632dc521cfe35805b2846763a4c698d61d85d3b55f115b9a769da",
		"504152544903006167652d656e6372797074696f6e2e6f72672f76310a2d3e20736372797074204b5042447751786b4e346272584b4134" +
			"3844354a4f412031310a71637a6665775948683378747a5873626b5568662b556b6945796c646b74764b55464f6f525249516265510a2d" +
			"2d2d20456a6e3850335447474b454a6150576c30432b78382f6a2b5037417755783261553675624a657a6e4767730a823a6568803ea775" +
			"a18191ef7a9782569fe663f85caf15ecfb651ae485c65665",
	},
}

func TestContainerVectors(t *testing.T) {
	for _, v := range containerVectors {
		file, key := unhex(t, v.file), unhex(t, v.key)
		plain, _, err := openContainer(file, key, Options{})
		if err != nil || len(plain) != 0 {
			t.Errorf("%s: %d bytes, %v", v.name, len(plain), err)
		}
		key[5] ^= 1
		if _, _, err := openContainer(file, key, Options{}); !errors.Is(err, ErrWrongKey) {
			t.Errorf("%s with a wrong key: %v", v.name, err)
		}
		// An empty content is not a state.
		key[5] ^= 1
		if _, err := Open(file, key, Options{}); classify(t, err) != string(StageState) {
			t.Errorf("%s opened: %v", v.name, err)
		}
	}
}

// sealV1 and sealV2 are the writers of the formats that only old releases wrote.
func sealV1(plain, key []byte) []byte {
	box := sealBox(key, nil, plain) // tag ‖ nonce ‖ ciphertext
	file := append([]byte(magic), 1, 0)
	file = append(file, box[tagSize:boxOverhead]...)
	file = append(file, box[:tagSize]...)
	return append(file, box[boxOverhead:]...)
}

func sealV2(t testing.TB, plain, key []byte) []byte {
	t.Helper()
	must := func(k *ecdh.PrivateKey, err error) *ecdh.PrivateKey {
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	secret := must(ecdh.X25519().NewPrivateKey(key))
	ephemeral := must(ecdh.X25519().GenerateKey(rand.Reader))
	shared, err := ephemeral.ECDH(secret.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	epk := ephemeral.PublicKey().Bytes()
	sealed := xchacha(shared).Seal(nil, nonceV2(epk, secret.PublicKey().Bytes()), plain, nil)
	file := append(append([]byte(magic), 2, 0), epk...)
	file = append(file, sealed[len(plain):]...)
	return append(file, sealed[:len(plain)]...)
}

func testKey() []byte { return bytes.Repeat([]byte{0x5a, 0x11, 0xc3, 0x07}, KeySize/4) }

// TestContainers seals and opens contents around the sizes of a chunk, and damages what is cheap to damage.
func TestContainers(t *testing.T) {
	key := testKey()
	sizes := []int{0, 1, 15, 100, ageChunkPlain - 1, ageChunkPlain, ageChunkPlain + 1, 3 * ageChunkPlain, 3*ageChunkPlain + 7}
	seal := map[Version]func(plain []byte) []byte{
		V1: func(plain []byte) []byte { return sealV1(plain, key) },
		V2: func(plain []byte) []byte { return sealV2(t, plain, key) },
		V3: func(plain []byte) []byte {
			file, err := sealV3(plain, key, 0)
			if err != nil {
				t.Fatal(err)
			}
			return file
		},
	}
	for version, seal := range seal {
		for _, size := range sizes {
			plain := make([]byte, size)
			rand.Read(plain)
			file := seal(plain)
			if version == V3 && len(file) < minSizeV3 {
				continue // no state is that small: TestEncodeSmallest
			}
			got, v, err := openContainer(file, key, Options{})
			if err != nil || v != version || !bytes.Equal(got, plain) {
				t.Fatalf("version %s, %d bytes: version %s, %d bytes, %v", version, size, v, len(got), err)
			}
			for _, at := range []int{headerSize, headerSize + 39, len(file) / 2, len(file) - 1} {
				bad := bytes.Clone(file)
				bad[at] ^= 0x80
				if _, _, err := openContainer(bad, key, Options{}); err == nil {
					t.Errorf("version %s, %d bytes: byte %d was changed unnoticed", version, size, at)
				}
			}
			// For version 3 these are the places where the parts meet: a cut between two chunks shows only by its mark.
			for _, cut := range []int{1, 16, 17, ageChunkPlain, ageChunk, 2 * ageChunk} {
				if cut >= len(file) {
					continue
				}
				if _, _, err := openContainer(file[:len(file)-cut], key, Options{}); err == nil {
					t.Errorf("version %s, %d bytes: %d bytes were cut unnoticed", version, size, cut)
				}
			}
		}
	}
}

// An attacker with the key can write an empty last chunk, for two files with one content. age forbids it.
func TestStreamEmptyLastChunk(t *testing.T) {
	fileKey := make([]byte, ageFileKey)
	nonce := make([]byte, ageNonceSize)
	aead := chacha(hkdfSha256(fileKey, nonce, "payload"))
	file := aead.Seal(bytes.Clone(nonce), streamNonce(0, false), make([]byte, ageChunkPlain), nil)
	file = aead.Seal(file, streamNonce(1, true), nil, nil)
	if _, err := openStream(fileKey, file, 0); err == nil {
		t.Error("an empty last chunk was taken")
	}
}

func TestDetect(t *testing.T) {
	header := func(a, b byte, size int) []byte {
		return append(append([]byte(magic), a, b), make([]byte, size-headerSize)...)
	}
	for _, test := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "not a snapshot"},
		{"half a magic", []byte("PAR"), "not a snapshot"},
		{"no version", []byte("PARTI\x03"), "not a snapshot"},
		{"other magic", []byte("PARTY\x03\x00 and more"), "not a snapshot"},
		{"version 0.0", header(0, 0, 500), "version"},
		{"version 1.1", header(1, 1, 500), "version"},
		{"version 4.0", header(4, 0, 500), "version"},
		{"version 2.0 in 16 bits", header(0, 2, 500), "version"},
		{"short 1.0", header(1, 0, minSizeV1-1), "container"},
		{"short 2.0", header(2, 0, minSizeV2-1), "container"},
		{"short 3.0", header(3, 0, minSizeV3-1), "container"},
		{"3.0 without age", header(3, 0, 500), "container"},
	} {
		_, err := Detect(test.file)
		if err == nil {
			t.Errorf("%s: no error", test.name)
		} else if got := classify(t, err); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
	for version, size := range map[Version]int{V1: 47, V2: 55} {
		if info, err := Detect(header(byte(version), 0, size)); err != nil || info != (Info{Version: version}) {
			t.Errorf("version %s: %+v, %v", version, info, err)
		}
	}
	if minSizeV1 != 47 || minSizeV2 != 55 || minSizeV3 != 173 {
		t.Error("least sizes")
	}

	var version *UnsupportedVersionError
	if _, err := Detect(header(4, 2, 500)); !errors.As(err, &version) || version.Found != [2]byte{4, 2} {
		t.Errorf("unsupported: %v", err)
	}
}

func TestErrorTexts(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{&UnsupportedVersionError{[2]byte{4, 2}}, "rust: unsupported snapshot version 4.2"},
		{&ExpensiveError{"scrypt", 2048, 1024}, "rust: scrypt needs 2048 bytes of memory, 1024 are allowed"},
		{&DamagedError{StageLZ4, 7, "length is cut", nil}, "rust: damaged snapshot: lz4 at byte 7: length is cut"},
		{
			&DamagedError{Stage: StageVault, Offset: 9, Err: ErrVaultKeys},
			"rust: damaged snapshot: vault at byte 9: the two copies of a vault's key differ",
		},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

func TestKeySize(t *testing.T) {
	for _, v := range containerVectors {
		for _, n := range []int{0, 31, 33, 64} {
			if _, err := Open(unhex(t, v.file), make([]byte, n), Options{}); !errors.Is(err, ErrKeySize) {
				t.Errorf("%s, key of %d bytes: %v", v.name, n, err)
			}
		}
	}
}

// What makes the header of a version 3 file not canonical, or not that of Stronghold, is refused before any work.
func TestAgeHeaderStrict(t *testing.T) {
	file, err := sealV3(make([]byte, 500), testKey(), 0)
	if err != nil {
		t.Fatal(err)
	}
	header, payload := string(file[:149+headerSize]), string(file[149+headerSize:])
	if !strings.HasSuffix(header, "\n") {
		t.Fatal("the header has not 149 bytes")
	}
	salt := header[len("PARTI\x03\x00age-encryption.org/v1\n-> scrypt "):][:22]
	line := func(n int) string { return strings.Split(header, "\n")[n] }
	replace := func(old, new string) string {
		if !strings.Contains(header, old) {
			t.Fatalf("%q is not in the header", old)
		}
		return strings.Replace(header, old, new, 1)
	}
	for name, bad := range map[string]string{
		"age v2":              replace("org/v1", "org/v2"),
		"crlf":                replace("v1\n", "v1\r\n"),
		"other stanza":        replace("scrypt", "X25519"),
		"stanza before":       replace("-> scrypt", "-> grease\n\n-> scrypt"),
		"stanza after":        replace("---", "-> grease\n\n---"),
		"two scrypt stanzas":  replace("---", line(1)+"\n"+line(2)+"\n---"),
		"no work factor":      replace(" 0\n", " \n"),
		"leading zero":        replace(" 0\n", " 00\n"),
		"leading zero, 5":     replace(" 0\n", " 05\n"),
		"three digits":        replace(" 0\n", " 100\n"),
		"sign":                replace(" 0\n", " +0\n"),
		"negative":            replace(" 0\n", " -1\n"),
		"letter":              replace(" 0\n", " a\n"),
		"more arguments":      replace(" 0\n", " 0 0\n"),
		"two spaces":          replace("scrypt ", "scrypt  "),
		"short salt":          replace(salt, salt[:21]),
		"long salt":           replace(salt, salt+"A"),
		"padded salt":         replace(salt, salt+"=="),
		"url base64":          replace(salt, "-_"+salt[2:]),
		"break within salt":   replace(salt, salt[:10]+"\n"+salt[11:]),
		"trailing salt bits":  replace(salt, salt[:21]+"B"),
		"short body":          replace(line(2), line(2)[:42]),
		"break within body":   replace(line(2), line(2)[:40]+"\n"+line(2)[41:]),
		"trailing body bits":  replace(line(2), line(2)[:42]+"B"),
		"no mac":              replace(line(3), "---"),
		"short mac":           replace(line(3), line(3)[:46]),
		"trailing mac bits":   replace(line(3), line(3)[:46]+"B"),
		"space after the mac": replace(line(3), line(3)+" "),
		"no end":              header[:len(header)-1] + "\x00", // the payload is random, and may begin with a newline
	} {
		_, err := Detect([]byte(bad + payload))
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if got := classify(t, err); got != string(StageContainer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What parses but was changed is found by the MAC.
	bad := []byte(replace(line(3), "--- "+strings.Repeat("A", 43)) + payload)
	var damaged *DamagedError
	if _, err := Open(bad, testKey(), Options{}); !errors.As(err, &damaged) || damaged.Offset != headerSize {
		t.Errorf("wrong MAC: %v", err)
	}
}

// The price is known from the header and refused before it is paid: this test would run out of memory otherwise.
func TestScryptLimit(t *testing.T) {
	file, err := sealV3(make([]byte, 500), testKey(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		workFactor int
		limit      uint64
		needs      uint64
	}{
		{21, 0, 2 << 30},
		{23, 0, 8 << 30},
		{40, 0, 1 << 50},
		{53, 0, 1 << 63},
		{54, 0, 1<<64 - 1},
		{99, 1<<64 - 1, 1<<64 - 1},
		{1, 2047, 2048},
	} {
		bad := bytes.Replace(file, []byte(" 0\n"), fmt.Appendf(nil, " %d\n", test.workFactor), 1)
		info, err := Detect(bad)
		if err != nil || info.WorkFactor != test.workFactor || info.Memory != test.needs {
			t.Errorf("%d: %+v, %v", test.workFactor, info, err)
		}
		var expensive *ExpensiveError
		_, err = Open(bad, testKey(), Options{MaxScryptMemory: test.limit})
		if !errors.As(err, &expensive) || expensive.What != "scrypt" || expensive.Needs != test.needs {
			t.Errorf("%d: %v", test.workFactor, err)
		}
	}
	if o := (Options{}); scryptMemory(20) > o.maxScryptMemory() || scryptMemory(21) <= o.maxScryptMemory() {
		t.Error("the default does not end at work factor 20")
	}
	// The limit is not too tight either.
	bad := bytes.Replace(file, []byte(" 0\n"), []byte(" 1\n"), 1)
	if _, err := Open(bad, testKey(), Options{MaxScryptMemory: 2048}); !errors.Is(err, ErrWrongKey) {
		t.Errorf("at the limit: %v", err)
	}
}

// The version 2 key is an X25519 scalar, whose five clamped bits have no effect.
func TestClampedKeys(t *testing.T) {
	v := containerVectors[0]
	file := unhex(t, v.file)
	for bit := range 8 * KeySize {
		key := unhex(t, v.key)
		key[bit/8] ^= 1 << (bit % 8)
		_, _, err := openContainer(file, key, Options{})
		if clamped := bit < 3 || bit >= 254; clamped != (err == nil) {
			t.Errorf("bit %d: %v", bit, err)
		}
	}
}

func TestLowOrderPoint(t *testing.T) {
	file := sealV2(t, make([]byte, 20), testKey())
	clear(file[headerSize : headerSize+KeySize])
	if _, err := Open(file, testKey(), Options{}); classify(t, err) != string(StageContainer) {
		t.Errorf("%v", err)
	}
}

// sealV3 writes a version 3 file around the content.
func sealV3(plain, key []byte, workFactor int) ([]byte, error) {
	fileKey, header, err := newFileKey(key, workFactor)
	if err != nil {
		return nil, err
	}
	return sealStream(fileKey, header, plain), nil
}
