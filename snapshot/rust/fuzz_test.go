package rust

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzContainer opens files of all versions with one key. What has a valid age header is canonical: the header is
// written back to the same bytes.
func FuzzContainer(f *testing.F) {
	key := testKey()
	f.Fuzz(func(t *testing.T, file []byte) {
		limits := Options{MaxScryptMemory: 1 << 16, MaxState: 1 << 22}
		info, detectErr := Detect(file)
		if detectErr == nil && info.Version == V3 {
			h, err := parseAgeHeader(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasPrefix(file[headerSize:], marshalAgeHeader(h)) {
				t.Error("a header that is not canonical was taken")
			}
		}
		s, err := Open(file, key, limits)
		if err != nil {
			classify(t, err)
			if s != nil {
				t.Error("a state came with an error")
			}
			return
		}
		if detectErr != nil {
			t.Errorf("opened, and not detected: %v", detectErr)
		}
		reencode(t, s)
	})
}

func marshalAgeHeader(h *ageHeader) []byte {
	enc := ageBase64.EncodeToString
	return fmt.Appendf(nil, "%s%s%s %d\n%s\n%s %s\n", ageIntro, ageStanza, enc(h.salt[:]), h.workFactor,
		enc(h.wrapped[:]), ageFooter, enc(h.mac[:]))
}

// FuzzLZ4 holds the decoder to its limit and what it decodes to a round trip.
func FuzzLZ4(f *testing.F) {
	f.Fuzz(func(t *testing.T, block []byte) {
		const limit = 1 << 20
		plain, err := decompress(block, limit)
		if err != nil {
			classify(t, err)
			return
		}
		if len(plain) > limit || cap(plain) > limit {
			t.Errorf("%d bytes", len(plain))
		}
		again, err := decompress(compress(plain), uint64(len(plain)))
		if err != nil || !bytes.Equal(again, plain) {
			t.Errorf("round trip: %v", err)
		}
	})
}

// FuzzState parses contents of all three layouts. What parses is written back to the same bytes.
func FuzzState(f *testing.F) {
	f.Fuzz(func(t *testing.T, content []byte) {
		if raw, err := parseState(content); err != nil {
			classify(t, err)
		} else if !bytes.Equal(marshalState(raw), content) {
			t.Error("0.4: written back to other bytes")
		}
		for _, alpha := range []bool{false, true} {
			if raw, err := parseOldState(content, alpha); err != nil {
				classify(t, err)
			} else if !bytes.Equal(marshalOldState(raw, alpha), content) {
				t.Errorf("alpha %v: written back to other bytes", alpha)
			}
		}
		for _, decode := range []func([]byte) (*State, error){decodeState, decodeChained, decodeAlpha} {
			s, err := decode(content)
			if err != nil {
				classify(t, err)
				continue
			}
			for _, c := range s.Clients {
				for _, v := range c.Vaults {
					for _, r := range v.Records {
						if _, err := r.RevokedSecret(); err != nil { // opened only now
							classify(t, err)
						}
					}
				}
			}
			s.Wipe()
		}
	})
}

// TestFuzzSeeds fails when a fuzz target has nothing to start from, as after a move of the folders. With
// RUST_WRITE_SEEDS set it writes the seeds that are made here: they hold random nonces, and are kept.
func TestFuzzSeeds(t *testing.T) {
	for target, seeds := range fuzzSeeds(t) {
		dir := filepath.Join("testdata", "fuzz", target)
		if os.Getenv("RUST_WRITE_SEEDS") != "" {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			for name, seed := range seeds {
				text := fmt.Appendf(nil, "go test fuzz v1\n[]byte(%q)\n", seed)
				if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		for name := range seeds {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil || !strings.HasPrefix(string(text), "go test fuzz v1\n[]byte(") {
				t.Errorf("%s has no seed %s: %v", target, name, err)
			}
		}
	}
}

func fuzzSeeds(t *testing.T) map[string]map[string][]byte {
	key := testKey()
	encode := func(s *State) []byte {
		file, err := Encode(s, key, 0)
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	small := &State{Clients: []Client{{ID: ID{1}, Store: []Entry{{Key: []byte("k"), Value: []byte("v")}}, Vaults: []Vault{{
		ID: ID{2}, Records: []Record{{ID: ID{3}, Secret: Secret("live")}, {ID: ID{4}, Secret: Secret("gone"), Revoked: true}},
	}}}}}
	chains := func(alpha bool) []byte {
		w := newChainWriter("vault", alpha)
		w.init(ID{1})
		w.write(ID{1}, "value", "hint")
		w.write(ID{1}, "second", "hint")
		w.revoke(ID{1})
		return marshalOldState([]rawOldClient{oldClient("client", w)}, alpha)
	}
	state := marshalState([]rawClient{rawSample()})
	return map[string]map[string][]byte{
		"FuzzContainer": {
			"v1":      sealV1(chains(true), key),
			"v2":      sealV2(t, compress(state), key),
			"v2-old":  sealV2(t, compress(chains(false)), key),
			"v3":      encode(small),
			"v3-none": encode(new(State)),
			"real-v2": readFixture(t, fixtures[0].name),
			"real-v3": readFixture(t, fixtures[1].name),
		},
		"FuzzLZ4": {
			"literals": []byte("\x50hello"),
			"match":    []byte("\x45abcd\x04\x00\x20ef"),
			"overlap":  []byte("\x1fa\x01\x00\xff\x05\x10b"),
			"bare":     []byte("\x40abcd\x04\x00"),
			"long":     compress(bytes.Repeat([]byte("x"), 600)),
			"bomb":     append([]byte("\x1fa\x01\x00"), bytes.Repeat([]byte{255}, 5000)...),
		},
		"FuzzState": {
			"none":  marshalState(nil),
			"state": state,
			"0.3":   chains(false),
			"alpha": chains(true),
		},
	}
}
