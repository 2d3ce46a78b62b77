package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/stronghold-go/stronghold/snapshot"
)

// --timeout counts also where a file is opened that asks for much work, and no node.
func TestTimeoutOfAFile(t *testing.T) {
	if raceEnabled {
		t.Skip("the password hash takes too long")
	}
	home, passphraseFile := testHome(t)
	if exit, _, stderr := runHere(t.Context(), "--home", home, "init", "--cost", "17", "--passphrase-file", passphraseFile); exit != 0 {
		t.Fatal(stderr)
	}
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawStdEncoding.EncodeToString
	h := new(snapshot.Header)
	for range 8 { // which takes seconds, and is allowed
		lock := fmt.Appendf(nil, "age-encryption.org/v1\n-> scrypt %s 17\n%s\n--- %s\n%s",
			text(make([]byte, 16)), text(make([]byte, 32)), text(make([]byte, 32)), make([]byte, 100))
		h, _, err = h.With(snapshot.Slot{Kind: snapshot.PassphraseSlot, Recipient: id.Recipient().String(), Lock: lock, Wrap: make([]byte, 200)})
		if err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(filepath.Dir(home), "hostile")
	if err := os.WriteFile(file, h.Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"verify", "restore"} {
		args := []string{"--home", home, "snapshot", command, file, "--passphrase-file", passphraseFile}
		exit, _, stderr := runHere(t.Context(), append(args, "--timeout", "300ms")...)
		if exit != exitUnreachable || !strings.Contains(stderr, "no answer within the time given") {
			t.Errorf("%s: exit %d: %s", command, exit, stderr)
		}
		exit, _, stderr = runHere(t.Context(), append(args, "--max-cost", "16")...)
		if exit != exitDamaged || !strings.Contains(stderr, "--max-cost N") {
			t.Errorf("%s, at a lower cost: exit %d: %s", command, exit, stderr)
		}
		for _, wrong := range []string{"0", "28"} {
			if exit, _, stderr = runHere(t.Context(), append(args, "--max-cost", wrong)...); exit != exitUsage {
				t.Errorf("%s, --max-cost %s: exit %d: %s", command, wrong, exit, stderr)
			}
		}
	}
}

// A state.db that was cut is named, and ends nothing in a panic.
func TestCutState(t *testing.T) {
	if raceEnabled {
		t.Skip("the password hash takes too long")
	}
	home, passphraseFile := testHome(t)
	if exit, _, stderr := runHere(t.Context(), "--home", home, "init", "--cost", "17", "--passphrase-file", passphraseFile); exit != 0 {
		t.Fatal(stderr)
	}
	for _, size := range []int64{9000, 0} {
		if err := os.Truncate(filepath.Join(home, "state.db"), size); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"peer", "ls"}, {"run"}} {
			exit, _, stderr := runHere(t.Context(), append([]string{"--home", home}, args...)...)
			if exit != exitDamaged || !strings.Contains(stderr, "state.db: is damaged") {
				t.Errorf("%d bytes: %v: exit %d: %s", size, args, exit, stderr)
			}
		}
	}
}
