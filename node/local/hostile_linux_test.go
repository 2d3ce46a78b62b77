package local_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/snapshot"
)

// hostileFile is a snapshot that nobody can open, made without a key: it has n slots of
// this cost.
func hostileFile(t testing.TB, n, cost int) []byte {
	t.Helper()
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawStdEncoding.EncodeToString
	lock := fmt.Appendf(nil, "age-encryption.org/v1\n-> scrypt %s %d\n%s\n--- %s\n%s",
		text(make([]byte, 16)), cost, text(make([]byte, 32)), text(make([]byte, 32)), make([]byte, 100))
	h := new(snapshot.Header)
	for range n {
		h, _, err = h.With(snapshot.Slot{Kind: snapshot.PassphraseSlot, Recipient: id.Recipient().String(), Lock: lock, Wrap: make([]byte, 200)})
		if err != nil {
			t.Fatal(err)
		}
	}
	return h.Encode()
}

// resident is how many bytes of memory a process has; 0: it has ended.
func resident(t testing.TB, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// hashes waits until a process that hashes has this much memory. Then it is at work.
func hashes(t testing.TB, bytes int64) {
	t.Helper()
	for t.Context().Err() == nil {
		for _, pid := range zones(t) {
			if resident(t, pid) > bytes {
				return
			}
		}
	}
	t.Fatal("no zone hashes")
}

// A file that anybody could have made is refused before a hash is begun, at each way in
// that a file has.
func TestHostileFile(t *testing.T) {
	cfg, path := used(t, "a")
	good := read(t, path)
	for _, tt := range []struct {
		n, cost int
		maxCost uint32
		detail  string
	}{
		{32, snapshot.MaxCost, 0, "2^27 in all, more than the allowed 2^20"},
		{1, 21, 0, "2^21 in all, more than the allowed 2^20"},
		{1, 40, snapshot.MaxMaxCost, "2^40 in all, more than the allowed 2^27"},
	} {
		file := write(t, filepath.Join(t.TempDir(), "hostile"), hostileFile(t, tt.n, tt.cost))
		secret := []byte(passphrase)
		_, verifyErr := local.Verify(t.Context(), file, local.VerifyOptions{Secret: secret, MaxCost: tt.maxCost})
		_, _, restoreErr := local.Restore(t.Context(), cfg, file, local.RestoreOptions{Secret: secret, MaxCost: tt.maxCost, AcceptOlder: true})
		write(t, path, read(t, file)) // somebody has exchanged the home's
		s := open(t, cfg)
		unlockErr := s.Client().UnlockWith(t.Context(), secret, protocol.UnlockOptions{MaxCost: tt.maxCost})
		s.Close()
		for what, err := range map[string]error{"verify": verifyErr, "restore": restoreErr, "unlock": unlockErr} {
			if !errors.Is(err, protocol.ErrTooExpensive) || !strings.Contains(err.Error(), tt.detail) {
				t.Errorf("%d slots of 2^%d: %s: %v", tt.n, tt.cost, what, err)
			}
		}
		write(t, path, good)
	}
	s := open(t, cfg)
	if err := s.Client().UnlockWith(t.Context(), []byte(passphrase), protocol.UnlockOptions{MaxCost: snapshot.MaxMaxCost + 1}); !errors.Is(err, protocol.ErrInvalid) {
		t.Errorf("more than can be allowed: %v", err)
	}
	unlock(t, s)
}

// Who asks to have a file opened and leaves, or whose time is over, leaves no hash
// behind.
func TestHashEndsWithItsAsker(t *testing.T) {
	if raceDetector {
		t.Skip("the password hash takes too long")
	}
	cfg, path := used(t, "a")
	const each = 16 // 64 MiB
	hostile := hostileFile(t, 16, each)
	file := write(t, filepath.Join(t.TempDir(), "hostile"), hostile)
	write(t, path, hostile)
	s := open(t, cfg)
	for what, ask := range map[string]func(context.Context) error{
		"verify": func(ctx context.Context) error {
			_, err := local.Verify(ctx, file, local.VerifyOptions{Secret: []byte(passphrase)})
			return err
		},
		"unlock": func(ctx context.Context) error { return s.Client().Unlock(ctx, []byte(passphrase)) },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- ask(ctx) }()
		hashes(t, 1<<(each+10)/2)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", what, err)
		}
		for _, pid := range zones(t) {
			if resident(t, pid) > 1<<(each+10)/2 {
				t.Errorf("%s: process %d goes on hashing", what, pid)
			}
		}
	}
	if !bytes.Equal(read(t, path), hostile) {
		t.Error("the file was changed")
	}
}
