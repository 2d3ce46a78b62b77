package local_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
)

// The limits of config.toml are those of the zone, and what cannot be meant is refused.
func TestLimits(t *testing.T) {
	cfg := quickHome(t)
	config := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(cfg.Home, "config.toml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for text, says := range map[string]string{
		"[limits]\nrecord_bytes = 65537": "limits.record_bytes must be 1 to 65536",
		"[limits]\nrecords = -1":         "limits.records must be 1 to",
		"[limits]\npath_bytes = 771":     "limits.path_bytes must be 1 to 770",
		"[limits]\nstore = 1":            "unknown setting limits.store",
		"[limits]\nclients = -1":         "limits.clients must be 1 to",
		"[limits.peer]\nrecords = -1":    "limits.peer.records must be 1 to",
		"[limits.peer]\nrequests = 1":    "unknown setting limits.peer.requests",
		"[limits]\nrecords = \"many\"":   "",
	} {
		config(text)
		var wrong *local.HomeError
		if s, err := local.Open(t.Context(), cfg); !errors.As(err, &wrong) || !strings.Contains(wrong.Reason, says) {
			t.Errorf("%q: %v", text, err)
			if err == nil {
				s.Close()
			}
		}
	}
	config("[limits]\nstore_values = 1\nclients = 1\ntombstones = 1\n")
	s, err := local.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := s.Client()
	if err := c.Unlock(t.Context(), []byte(passphrase)); err != nil {
		t.Fatal(err)
	}
	put := func(key string) error {
		_, err := c.Do(t.Context(), &protocol.Request{Operation: "store.put", Value: []byte("x"),
			Location: &protocol.Location{Client: []byte("c"), Vault: []byte(key)}})
		return err
	}
	if err := put("one"); err != nil {
		t.Fatal(err)
	}
	var refused *protocol.Error
	if err := put("two"); !errors.As(err, &refused) || refused.Status != protocol.Status_NO_SPACE || !strings.Contains(refused.Detail, "at most 1") {
		t.Errorf("a second value: %v", err)
	}
	generate := func(client, record string) error {
		_, err := c.GenerateKey(t.Context(), &protocol.Location{Client: []byte(client), Vault: []byte("v"), Record: []byte(record)}, protocol.Ed25519, false)
		return err
	}
	if err := generate("d", "r"); !errors.As(err, &refused) || refused.Status != protocol.Status_NO_SPACE || !strings.Contains(refused.Detail, "clients: at most 1") {
		t.Errorf("a second client: %v", err)
	}
	if err := generate("c", "r"); err != nil {
		t.Fatal(err)
	}
	if err := c.Revoke(t.Context(), &protocol.Location{Client: []byte("c"), Vault: []byte("v"), Record: []byte("r")}); err != nil {
		t.Fatal(err)
	}
	if err := generate("c", "s"); !errors.As(err, &refused) || refused.Status != protocol.Status_NO_SPACE || !strings.Contains(refused.Detail, "tombstones") {
		t.Errorf("a new place beside a tombstone: %v", err)
	}
}
