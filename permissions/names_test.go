package permissions

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

const named = `# mine
[names]
laptop = "` + eveID + `" # an old one

[groups]
phones = ["alice-phone", "bob-phone"]

[[allow]]
peers = ["laptop", "phones"]
ops   = ["use"]
on    = ["a/b/*"]

[[deny]]
peers = ["` + bobID + `"]
ops   = ["use"]
on    = ["a/b/d"]

[[test]]
peer = "bob-phone"
op   = "ed25519.sign"
on   = "a/b/c"
expect = "allow"
`

// TestNames: what [names] says goes before whoever has the name.
func TestNames(t *testing.T) {
	r := mustResolve(t, named)
	sign, on := operation(t, "ed25519.sign"), location(t, "a/b/c")
	for id, want := range map[string]bool{eveID: true, laptopID: false, aliceID: true, bobID: true} {
		if d := r.Can(id, sign, on); d.Allowed != want {
			t.Errorf("%s: %+v", id, d)
		}
	}
	if got := r.Names()["laptop"]; got != eveID {
		t.Errorf("laptop means %s", got)
	}
	for id, want := range map[string][]string{
		eveID:    {"allow 1, line 8: laptop"},
		laptopID: nil,
		bobID:    {"group phones: bob-phone", "allow 1, line 8: phones", "deny 1, line 13: " + bobID, "test 1, line 18: bob-phone"},
	} {
		if got := r.Mentions(id); !slices.Equal(got, want) {
			t.Errorf("%s is spoken of in %q, want %q", id, got, want)
		}
	}
	if !r.HasGroup("phones") || r.HasGroup("laptop") || new(Rules).HasGroup("") || new(Rules).Mentions(eveID) != nil {
		t.Error("groups")
	}
}

// TestWithNames: a policy that is told with its names says the same, in the words
// of its author, and means these peers to whoever resolves it.
func TestWithNames(t *testing.T) {
	lines := []Name{{Name: "alice-phone", ID: aliceID}, {Name: "bob-phone", ID: bobID, Note: "is called b now"}, {Name: "laptop", ID: laptopID}}
	told := mustParse(t, named).WithNames(lines)
	for _, want := range []string{"# mine\n[groups]\n", "\n\n[names] # ", "\nalice-phone = \"" + aliceID + "\"\n",
		"\nbob-phone = \"" + bobID + "\" # is called b now\n", "\nlaptop = \"" + laptopID + "\"\n"} {
		if strings.Count(told, want) != 1 {
			t.Errorf("%q is not there once:\n%s", want, told)
		}
	}
	p := mustParse(t, told)
	r, err := p.Resolve(map[string]string{"laptop": eveID, "bob-phone": aliceID})
	if err != nil || r.Names()["laptop"] != laptopID || r.Names()["bob-phone"] != bobID || r.Test() != nil {
		t.Errorf("resolved again: %v, %v", r, err)
	}
	if again := p.WithNames(lines); again != told {
		t.Errorf("told again, it is another text:\n%s", again)
	}
	const plain = "# nothing\n"
	if got := mustParse(t, plain).WithNames(nil); got != plain {
		t.Errorf("without names: %q", got)
	}
	if !mustParse(t, plain).AllowsNothing() || mustParse(t, named).AllowsNothing() {
		t.Error("AllowsNothing")
	}
}

func TestNamesAreRefused(t *testing.T) {
	for text, reason := range map[string]string{
		"names = 1":                                      "a line [names] of its own",
		"names = {a = '" + eveID + "'}":                  "a line [names] of its own",
		"names.a = '" + eveID + "'":                      "a line [names] of its own",
		"[names.a]\nb = 'c'":                             "a line [names] of its own",
		"[\"names\"]\na = '" + eveID + "'":               "a line [names] of its own",
		"[names]\na = 1":                                 "must be a text",
		"[names]\na = 'b'":                               "is not a peer id",
		"[names]\n'*' = '" + eveID + "'":                 "stands for all peers",
		"[names]\n'' = '" + eveID + "'":                  "empty peer name",
		"[names]\n" + eveID + " = '" + bobID + "'":       "is an id already",
		"groups.a = ['b']\n[names]\na = '" + eveID + "'": "is a group",
	} {
		var e *Error
		if p, err := Parse([]byte(text)); !errors.As(err, &e) || !strings.Contains(e.Reason, reason) {
			t.Errorf("%q: %v, %v", text, p, err)
		}
	}
}

// TestGroupLikeAnID: no group has a name that a person could take for a peer's id,
// in whatever spelling, nor is such an id without effect.
func TestGroupLikeAnID(t *testing.T) {
	const secp = "16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY"
	for _, id := range []string{eveID, secp, "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
		"bafzaajaiaejcbzdibmxyzdjbbehgvizh6g5tikvy47mshdy5gwbq5ylz2xn7cmf2", // a CID of a key
		"k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8",    // and in base 36
		strings.Replace(eveID, "1", "0", 1)} {                               // misspelt
		var e *Error
		if p, err := Parse([]byte("[groups]\n" + id + " = ['eve']")); !errors.As(err, &e) || !strings.Contains(e.Reason, "looks like a peer id") {
			t.Errorf("%s: %v, %v", id, p, err)
		}
	}
	if d := rules(t, "allow "+secp+" use a/b/*").Can(secp, operation(t, "ed25519.sign"), location(t, "a/b/c")); !d.Allowed {
		t.Errorf("%s: %+v", secp, d)
	}
	for _, name := range []string{"phones", "the-phones-of-all-people-who-work-in-the-second-building-on-the-left"} {
		mustParse(t, "[groups]\n"+name+" = ['eve']")
	}
}
