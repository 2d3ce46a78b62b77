package itest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/vault"
)

// testIDs names records by their ids, which the local user may, and a peer may not.
func (s *suite) testIDs(t *testing.T) {
	s = &suite{target: s.target, Client: s.Client, client: "ids"}
	short := &protocol.Location{ClientId: make([]byte, 23), VaultId: make([]byte, 24), RecordId: make([]byte, 24)}
	s.wantInvalid(t, "location", &protocol.Request{Operation: "key.public", Location: short})
	nines := bytes.Repeat([]byte{9}, protocol.IDSize)
	absent := &protocol.Location{ClientId: nines, VaultId: nines, RecordId: nines}
	if s.door == protocol.DoorPeer { // a rule speaks of paths: an id would slip past it
		s.wantInvalid(t, "location", &protocol.Request{Operation: "key.public", Location: absent})
		return
	}
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "key.public", Location: absent})
	// What was made by an id alone has no path, is listed by its ids, and answers to them.
	s.generate(t, absent)
	resp := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "record.list",
		Location: &protocol.Location{ClientId: absent.ClientId, VaultId: absent.VaultId}})
	if len(resp.Entries) != 1 || resp.Entries[0].Location.Text() != absent.Text() {
		t.Errorf("listed as %v", resp.Entries)
	}
	s.want(t, protocol.Status_OK, &protocol.Request{Operation: "record.revoke", Location: absent})

	// A path and its id are one record.
	public := s.generate(t, s.at("keys", "main"))
	p := vault.At([]byte(s.client), []byte("keys"), []byte("main"))
	byID := &protocol.Location{ClientId: p.Client[:], VaultId: p.Vault[:], RecordId: p.Record[:]}
	s.sign(t, byID, public, []byte("by its id"))
	s.want(t, protocol.Status_EXISTS, &protocol.Request{Operation: "key.generate", Location: byID, Kind: protocol.Ed25519})
	if got := s.list(t, s.in("keys"), 0); len(got) != 1 || got[0] != "main" {
		t.Errorf("listed %q", got)
	}
}

// testPaths makes records whose names differ by little, or are odd: none is
// taken for another, and none comes back changed.
func (s *suite) testPaths(t *testing.T) {
	s = &suite{target: s.target, Client: s.Client, client: "paths"}
	long := string(bytes.Repeat([]byte{'x'}, protocol.MaxSegment))
	odd := []string{
		"a", "A", "a ", " a", "a\x00b", "\x00a", "\xff", "\xff\xfe", "a\xffb", "%", "%2F", "%00", "%41", "*", "**", "a*", "?", "[a]",
		"@", "@7", "@head", "@@head", ".", "..", "...", "../a", ".a", "a.", "a/b", "/", "//", "\\", "id:", "id:AAAA", "\n", "\r\n", "\t",
		"\u00e9", "e\u0301", // the same to a reader: composed and not
		"\u212b", "\u00c5", "A\u030a", "\ufeff", "\u202e", "\u0430", "ß", "ss", "ﬁ", "fi", "'", "\"", "`", "$(a)", "-", "--", "a,b", "\x1b[31m",
	}
	shape := func(name string, at func(string) *protocol.Location) {
		keys := map[string]ed25519.PublicKey{}
		for _, name := range odd {
			keys[name] = s.generate(t, at(name)) // EXISTS if it were another's
		}
		for _, name := range odd {
			s.sign(t, at(name), keys[name], []byte(name))
		}
		// Remove half; the other half stays.
		for _, name := range odd[:len(odd)/2] {
			s.want(t, protocol.Status_OK, &protocol.Request{Operation: "record.revoke", Location: at(name)})
		}
		for i, name := range odd {
			status := protocol.Status_OK
			if i < len(odd)/2 {
				status = protocol.Status_NOT_FOUND
			}
			s.want(t, status, &protocol.Request{Operation: "key.public", Location: at(name)})
		}
		if t.Failed() {
			t.Fatalf("as %s", name)
		}
	}
	shape("a record", func(name string) *protocol.Location { return s.at("odd", name) })
	shape("a vault", func(name string) *protocol.Location { return s.at(name, "main") })
	shape("a client", func(name string) *protocol.Location {
		return &protocol.Location{Client: []byte("paths " + name), Vault: []byte("v"), Record: []byte("r")}
	})

	left := map[string]bool{}
	for _, name := range s.list(t, s.in("odd"), 7) {
		left[name] = true
	}
	for _, name := range odd[len(odd)/2:] {
		if !left[name] {
			t.Errorf("%q does not come back in a listing", name)
		}
	}
	if want := len(odd) - len(odd)/2; len(left) != want {
		t.Errorf("listed %d names, want %d", len(left), want)
	}

	// The longest segment, and one byte more.
	s.generate(t, s.at(long, "main"))
	for _, loc := range []*protocol.Location{
		s.at(long+"x", "main"), s.at("", "main"), s.at("v", ""), {Vault: []byte("v"), Record: []byte("r")},
		{Client: []byte("c"), Record: []byte("r")}, {Client: []byte("c"), Vault: []byte("v"), Record: []byte("r"), Head: true},
	} {
		s.wantInvalid(t, "location", &protocol.Request{Operation: "key.public", Location: loc})
	}

	// A record's id is an HMAC with its path as the key, as it was in Rust: these
	// paths would be second names of other records.
	for _, name := range []string{"a\x00", "\x00", long[:protocol.MaxRecordPath+1]} {
		s.wantInvalid(t, "location", &protocol.Request{Operation: "key.public", Location: s.at("v", name)})
	}
	s.generate(t, s.at("v", long[:protocol.MaxRecordPath]))
}

// testCallers has many callers at once, each of whom gets his own answers.
func (s *suite) testCallers(t *testing.T) {
	s = &suite{target: s.target, Client: s.Client, client: "callers"}
	shared := s.at("shared", "main")
	public := s.generate(t, shared)
	var callers sync.WaitGroup
	for i := range 64 {
		callers.Go(func() {
			err := func() error {
				ctx := t.Context()
				own := s.at("own", fmt.Sprint(i))
				mine, err := s.GenerateKey(ctx, own, protocol.Ed25519, false)
				if err != nil {
					return err
				}
				for j := range 4 {
					message := fmt.Appendf(nil, "message %d of caller %d", j, i)
					for loc, public := range map[*protocol.Location][]byte{shared: public, own: mine} {
						sig, err := s.Sign(ctx, loc, message)
						if err != nil {
							return err
						}
						if !ed25519.Verify(public, message, sig) {
							return errors.New("a signature of another message, or by another key")
						}
					}
				}
				if i%2 == 0 {
					return nil
				}
				return s.Revoke(ctx, own)
			}()
			if err != nil {
				t.Errorf("caller %d: %v", i, err)
			}
		})
	}
	callers.Wait()
	if left := s.list(t, s.in("own"), 10); len(left) != 32 {
		t.Errorf("%d keys are left of 64, of which 32 were removed", len(left))
	}
}

// testContexts has contexts end, before and while something is done.
func (s *suite) testContexts(t *testing.T) {
	s = &suite{target: s.target, Client: s.Client, client: "contexts"}
	public := s.generate(t, s.at("keys", "main"))
	gone, leave := context.WithCancel(t.Context())
	leave()

	sign := &protocol.Request{Id: protocol.NewID(), Operation: "ed25519.sign", Location: s.at("keys", "main"), Message: []byte("m")}
	if resp, err := s.handler.Handle(gone, sign); err != nil {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("an asker who has left gets %v", err)
		}
	} else if resp.Status != protocol.Status_OK && resp.Status != protocol.Status_UNAVAILABLE {
		t.Errorf("an asker who has left gets %v", resp.Status)
	}

	// A change whose asker leaves is done or it is not; then nothing is in its way.
	var askers sync.WaitGroup
	for i := range 32 {
		ctx, leave := context.WithCancel(t.Context())
		askers.Go(func() {
			_, err := s.GenerateKey(ctx, s.at("left", fmt.Sprint(i)), protocol.Ed25519, false)
			if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, protocol.ErrOutcomeUnknown) {
				t.Errorf("asker %d: %v", i, err)
			}
		})
		if i%2 == 0 {
			leave()
		}
		askers.Go(leave)
	}
	askers.Wait()
	for i := range 32 {
		loc := s.at("left", fmt.Sprint(i))
		if _, _, err := s.PublicKey(t.Context(), loc); errors.Is(err, protocol.ErrNotFound) {
			// It may be on its way still: then this one waits for it.
			if _, err := s.GenerateKey(t.Context(), loc, protocol.Ed25519, false); err != nil && !errors.Is(err, protocol.ErrExists) {
				t.Errorf("after asker %d: %v", i, err)
			}
		} else if err != nil {
			t.Errorf("after asker %d: %v", i, err)
		}
	}
	s.sign(t, s.at("keys", "main"), public, []byte("and everything goes on"))
}

// testFrames sends more than a frame may hold: that is refused, and nothing else is.
func (s *suite) testFrames(t *testing.T) {
	s = &suite{target: s.target, Client: s.Client, client: "frames"}
	loc := s.at("keys", "main")
	public := s.generate(t, loc)
	message := make([]byte, protocol.MaxFrame)
	_, err := s.Sign(t.Context(), loc, message)
	switch {
	case !s.framed && err != nil:
		t.Errorf("a message of 1 MiB: %v", err)
	case s.framed && !errors.Is(err, protocol.ErrFrameTooLong):
		t.Errorf("a message longer than a frame: %v", err)
	}
	s.sign(t, loc, public, message[:protocol.MaxFrame-1<<10])
}
