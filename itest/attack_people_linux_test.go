package itest

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

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

// A file that somebody made without any key has its password hash refused, before it takes
// memory or time.
func TestAttackHostileFile(t *testing.T) {
	t.Parallel()
	h := newHouse(t, guests(t), "")
	file := filepath.Join(filepath.Dir(h.home), "hostile")
	if err := os.WriteFile(file, hostileFile(t, 32, 22), 0o600); err != nil {
		t.Fatal(err)
	}
	before := h.memory(t)
	code, out := h.command(t, "snapshot", "verify", file, "--passphrase-file", h.passphrase, "--timeout", "10s")
	if code != 8 {
		t.Errorf("verify ends with %d: %s", code, out)
	}
	if after := h.memory(t); after > before+200 {
		t.Errorf("node and zone have %d MiB, and had %d", after, before)
	}
}

// Programs of the same user that connect and say nothing do not keep the owner out.
func TestAttackIdleLocalConnections(t *testing.T) {
	t.Parallel()
	h := newHouse(t, guests(t), "")
	for range 200 {
		if conn, err := net.Dial("unix", filepath.Join(h.home, "shnode.sock")); err == nil { // one too many may be refused
			t.Cleanup(func() { conn.Close() })
		}
	}
	if code, out := h.command(t, "lock", "--timeout", "20s"); code != 0 {
		t.Errorf("lock: exit %d: %s", code, out)
	}
}

// Strangers who connect and say nothing do not keep out who is known and comes from elsewhere.
func TestAttackSilentStrangers(t *testing.T) {
	t.Parallel()
	all := guests(t)
	h := newHouse(t, all, "")
	if _, err := all["honest"].client(t).Sign(t.Context(), at("wallet/keys/main"), []byte("m")); err != nil { // he has been seen at his address
		t.Fatal(err)
	}
	info := h.tcp(t)
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: 5 * time.Second}
	ctx, stop := context.WithCancel(t.Context())
	flooded := make(chan struct{})
	go func() {
		defer close(flooded)
		for n := 0; ctx.Err() == nil; n++ {
			if conn, err := from.DialContext(ctx, "tcp", info); err == nil {
				context.AfterFunc(ctx, func() { conn.Close() })
			}
			if n >= 600 { // then as fast as one address may connect
				time.Sleep(20 * time.Millisecond)
			}
		}
	}()
	t.Cleanup(func() { stop(); <-flooded })
	time.Sleep(2 * time.Second) // until the room for handshakes is full, if it fills
	for i := range 5 {
		again := &guest{key: all["honest"].key, addr: h.addr}
		var err error
		if again.host, err = rawHost(again.key); err != nil {
			t.Fatal(err)
		}
		s, err := again.stream(t.Context())
		if err == nil {
			_, err = protocol.Client{H: protocol.NewConn(s)}.Sign(t.Context(), at("wallet/keys/main"), []byte("m"))
		}
		if err != nil {
			t.Errorf("the honest peer, connecting the %d. time: %v", i+1, err)
		}
		again.host.Close()
	}
}

// tcp is where the node listens, as net has it.
func (h *house) tcp(t testing.TB) string {
	t.Helper()
	var ip, rest string
	var port int
	if _, err := fmt.Sscanf(h.addr, "/ip4/127.0.0.%1s/tcp/%d/%s", &ip, &port, &rest); err != nil {
		t.Fatalf("%s: %v", h.addr, err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}
