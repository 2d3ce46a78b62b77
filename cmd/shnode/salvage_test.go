package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// What a damaged file has is written to another, and what is missing is said.
func TestSalvage(t *testing.T) {
	if raceEnabled {
		t.Skip("the password hash takes too long")
	}
	home, passphraseFile := testHome(t)
	bricked := filepath.Join("..", "..", "node", "local", "testdata", "bricked.stronghold")
	out := filepath.Join(filepath.Dir(home), "out")
	run := func(wantExit int, wantOut, wantErr string, args ...string) {
		t.Helper()
		exit, stdout, stderr := runHere(t.Context(), append([]string{"--passphrase-file", passphraseFile, "--home", home}, args...)...)
		if exit != wantExit || !strings.Contains(stdout, wantOut) || !strings.Contains(stderr, wantErr) {
			t.Errorf("%v: exit %d:\n%s\n%s", args, exit, stdout, stderr)
		}
	}
	run(8, "", "--salvage", "snapshot", "verify", bricked)
	run(0, "there    2 clients, 3 records, 2 values\nchanges  14\nmissing  nothing that is known of\nwritten  "+out, "entry without parts at byte 5464: nothing is lost",
		"snapshot", "verify", bricked, "--salvage", out)
	run(1, "", "is there already", "snapshot", "verify", bricked, "--salvage", out)
	run(0, "changes  14\nend      whole", "", "snapshot", "verify", out)
	run(0, `"damage":[{"where":"entry without parts","offset":5464,"first_change":5,"last_change":5,"lost":false}]`, "", "snapshot", "verify", bricked, "--salvage", out+"2", "--json")
	run(0, `"damage":[],"file":`, "", "snapshot", "verify", out, "--salvage", out+"3", "--json")
	run(0, "", "", "init", "--cost", "17")
	run(0, "there     2 clients", "restored", "snapshot", "restore", bricked, "--salvage")
}

func TestDamageText(t *testing.T) {
	for _, tt := range []struct {
		d    damageInfo
		want string
	}{
		{damageInfo{}, "nothing is lost"},
		{damageInfo{Lost: true, Client: "wallet"}, "what stood there of client wallet is lost, and all of it behind that"},
		{damageInfo{Lost: true}, "what stood there is lost"},
		{damageInfo{Lost: true, FirstChange: 7}, "change 7 is lost, if there was one, and all behind it"},
		{damageInfo{Lost: true, LastChange: 7}, "changes before 8 are lost"},
		{damageInfo{Lost: true, FirstChange: 7, LastChange: 7}, "change 7 is lost"},
		{damageInfo{Lost: true, FirstChange: 7, LastChange: 7, Client: "a"}, "change 7 of client a is lost"},
		{damageInfo{Lost: true, FirstChange: 7, LastChange: 9}, "changes 7 to 9 are lost"},
	} {
		if tt.d.Where, tt.d.Offset = "journal", 5; tt.d.text() != "journal at byte 5: "+tt.want {
			t.Errorf("%+v: %q, want %q", tt.d, tt.d.text(), tt.want)
		}
	}
}
