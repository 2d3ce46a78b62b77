package compare

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/stronghold-go/stronghold/itest/ratio"
)

// openSoftHSM makes a token with an Ed25519 key and gives each caller a session.
// The module runs inside of this process: there is no wall to cross.
func openSoftHSM(b *testing.B) func(*testing.B) ratio.Signer {
	need(b, "softhsm2-util", "softhsm2")
	module := ""
	for _, path := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"} {
		if _, err := os.Stat(path); err == nil {
			module = path
		}
	}
	if module == "" {
		b.Skip("libsofthsm2.so is not where it is looked for")
	}
	dir := b.TempDir()
	config := filepath.Join(dir, "softhsm2.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", dir), 0o600); err != nil {
		b.Fatal(err)
	}
	b.Setenv("SOFTHSM2_CONF", config)
	run(b, exec.Command("softhsm2-util", "--init-token", "--free", "--label", "bench", "--so-pin", "1234", "--pin", "1234"))
	p := pkcs11.New(module)
	if p == nil {
		b.Fatal("the module does not load")
	}
	check := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	check(p.Initialize())
	b.Cleanup(func() { p.Finalize(); p.Destroy() })
	slots, err := p.GetSlotList(true)
	check(err)
	session, err := p.OpenSession(slots[0], pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	check(err)
	check(p.Login(session, pkcs11.CKU_USER, "1234"))
	const edwardsKeyPairGen, edwardsSign = 0x1055, 0x1057 // CKM_EC_EDWARDS_KEY_PAIR_GEN, CKM_EDDSA
	edwards25519 := []byte{0x13, 0x0c, 'e', 'd', 'w', 'a', 'r', 'd', 's', '2', '5', '5', '1', '9'}
	_, key, err := p.GenerateKeyPair(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(edwardsKeyPairGen, nil)},
		[]*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, edwards25519), pkcs11.NewAttribute(pkcs11.CKA_VERIFY, true)},
		[]*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_SIGN, true), pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true), pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true)})
	check(err)
	return func(b *testing.B) ratio.Signer {
		s, err := p.OpenSession(slots[0], pkcs11.CKF_SERIAL_SESSION)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { p.CloseSession(s) })
		return func(_ context.Context, message []byte) ([]byte, error) {
			if err := p.SignInit(s, []*pkcs11.Mechanism{pkcs11.NewMechanism(edwardsSign, nil)}, key); err != nil {
				return nil, err
			}
			return p.Sign(s, message)
		}
	}
}
