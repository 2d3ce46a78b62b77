package permissions_test

import (
	"fmt"
	"log"

	"github.com/stronghold-go/stronghold/permissions"
	"github.com/stronghold-go/stronghold/protocol"
)

func Example() {
	policy, err := permissions.Parse([]byte(`
[[allow]]
peers = ["laptop"]
ops   = ["use"]
on    = ["wallet/**"]

[[deny]]
peers = ["*"]
ops   = ["ed25519.sign"]
on    = ["wallet/keys/root"]

[[test]]
peer = "laptop"
op   = "ed25519.sign"
on   = "wallet/keys/root"
expect = "deny"
`))
	if err != nil {
		log.Fatal(err)
	}
	const laptop = "12D3KooWLaptop11111111111111111111111111111111111111"
	rules, err := policy.Resolve(map[string]string{"laptop": laptop})
	if err != nil {
		log.Fatal(err)
	}
	if failures := rules.Test(); len(failures) > 0 {
		log.Fatal(failures)
	}

	sign, _ := protocol.Lookup("ed25519.sign")
	for _, text := range []string{"wallet/keys/main", "wallet/keys/root", "work/keys/main"} {
		loc, err := protocol.ParseLocation(text)
		if err != nil {
			log.Fatal(err)
		}
		req := &protocol.Request{Operation: sign.Name, Location: loc}
		d := rules.Check(laptop, sign, sign.Accesses(req))
		fmt.Println(text, d.Allowed, d.Reason)
	}
	// Output:
	// wallet/keys/main true allow 1
	// wallet/keys/root false deny 1 on wallet/keys/root
	// work/keys/main false no rule matches
}
