package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
)

// slowHome is a home whose passphrase takes a real hash, so that something can
// happen meanwhile.
func slowHome(t *testing.T) *local.Stronghold {
	t.Helper()
	if raceDetector {
		t.Skip("the password hash takes too long")
	}
	cfg := quickHome(t)
	if err := os.WriteFile(filepath.Join(cfg.Home, "vault.stronghold"), snapshotOfCost(t, 17), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := local.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// zones are the processes of zones that this process has started.
func zones(t testing.TB) (pids []int) {
	t.Helper()
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(lists) == 0 {
		t.Skip("the kernel does not tell a process's children")
	}
	for _, list := range lists {
		b, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for _, field := range strings.Fields(string(b)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			if bytes.HasPrefix(name, []byte("stronghold-zone")) {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// other is the zone that hashes: the one that is not the node's own.
func other(t testing.TB, s *local.Stronghold) int {
	t.Helper()
	status, err := s.Client().Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for {
		for _, pid := range zones(t) {
			if pid != int(status.Zone.Pid) {
				return pid
			}
		}
		if t.Context().Err() != nil {
			t.Fatal("no zone hashes")
		}
	}
}

// A password is hashed in a zone of its own. Whatever becomes of that, nothing is
// unlocked that should not be, and the next attempt works.
func TestUnlockIsInterrupted(t *testing.T) {
	for name, tt := range map[string]struct {
		interrupt func(s *local.Stronghold, cancel context.CancelFunc)
		want      []error
	}{
		"the zone that hashes is killed": {func(s *local.Stronghold, _ context.CancelFunc) {
			syscall.Kill(other(t, s), syscall.SIGKILL)
		}, []error{protocol.ErrUnavailable}},
		"the asker leaves": {func(s *local.Stronghold, cancel context.CancelFunc) {
			other(t, s)
			cancel()
		}, []error{context.Canceled, protocol.ErrUnavailable}},
		"it is locked": {func(s *local.Stronghold, _ context.CancelFunc) {
			other(t, s)
			if err := s.Client().Lock(t.Context()); err != nil {
				t.Error(err)
			}
		}, []error{protocol.ErrUnavailable, protocol.ErrLocked}},
	} {
		t.Run(name, func(t *testing.T) {
			s := slowHome(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- s.Client().Unlock(ctx, []byte(passphrase)) }()
			tt.interrupt(s, cancel)
			err := <-done
			expected := false
			for _, want := range tt.want {
				expected = expected || errors.Is(err, want)
			}
			if !expected {
				t.Errorf("unlocking: %v, want one of %v", err, tt.want)
			}
			if status, err := s.Client().Status(t.Context()); err != nil || !status.Locked {
				t.Errorf("afterwards: %v, %v", status, err)
			}
			// A zone that was locked is replaced meanwhile.
			for err = protocol.ErrUnavailable; errors.Is(err, protocol.ErrUnavailable); {
				err = s.Client().Unlock(t.Context(), []byte(passphrase))
			}
			if err != nil {
				t.Fatal(err)
			}
			if left := zones(t); len(left) != 1 {
				t.Errorf("%d zones are left", len(left))
			}
		})
	}
}

// A fold that does not come to be takes the slot that was to be in it along.
func TestSlotOnAFullDisk(t *testing.T) {
	cfg := quickHome(t)
	s, err := local.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	path := filepath.Join(cfg.Home, "vault.stronghold")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := newFaultDisk(path, content)
	s.SetDisk(d)
	unlock(t, s)
	add := func() error {
		c := s.Client()
		key, err := c.Do(t.Context(), &protocol.Request{Operation: "zone.key"})
		if err != nil {
			t.Fatal(err)
		}
		req := &protocol.Request{Id: protocol.NewID(), Operation: "slot.add"}
		proof := &protocol.Proof{Key: []byte(passphrase), NewKey: []byte("STRONGHOLD-KEY-" + strings.Repeat("1", 64))}
		if req.Secret, err = protocol.SealProof(key.PublicKey, req, proof); err != nil {
			t.Fatal(err)
		}
		_, err = c.Do(t.Context(), req)
		return err
	}
	slots := func() int {
		resp, err := s.Client().Do(t.Context(), &protocol.Request{Operation: "slot.list"})
		if err != nil {
			t.Fatal(err)
		}
		return len(resp.Slots)
	}
	full := func(f fault) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.ops, d.fault = 0, f
	}
	full(fault{at: 2, kind: noSpace}) // the file can be made, and not written
	err = add()
	full(fault{})
	if !errors.Is(err, protocol.ErrNoSpace) || slots() != 1 {
		t.Errorf("on a full disk: %v, %d slots", err, slots())
	}
	// The next file is as if nobody had asked.
	if _, err := s.Client().Do(t.Context(), &protocol.Request{Operation: "snapshot.save"}); err != nil || slots() != 1 {
		t.Errorf("saved: %v, %d slots", err, slots())
	}
	if err := add(); err != nil || slots() != 2 {
		t.Errorf("with room: %v, %d slots", err, slots())
	}
	if err := s.Client().Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Client().Unlock(t.Context(), []byte("STRONGHOLD-KEY-"+strings.Repeat("1", 64))); err != nil {
		t.Errorf("with the new key: %v", err)
	}
}
