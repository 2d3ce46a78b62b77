package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/stronghold-go/stronghold/protocol"
)

func pemOf(t *testing.T, key any) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func TestImportFormats(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	seed := private.Seed()
	openssh, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	encrypted, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	hexSeed := hex.EncodeToString(seed)
	damaged := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: seed})

	for name, test := range map[string]struct {
		format string
		input  []byte
		says   string // of the error and its hint; "": it is the seed
	}{
		"raw":                   {"raw", bytes.Clone(seed), ""},
		"hex":                   {"hex", []byte(hexSeed + "\n"), ""},
		"hex in capitals":       {"hex", []byte(strings.ToUpper(hexSeed)), ""},
		"PKCS#8":                {"pem", pemOf(t, private), ""},
		"PKCS#8 after a text":   {"pem", append([]byte("my key\n"), pemOf(t, private)...), ""},
		"OpenSSH":               {"pem", pem.EncodeToMemory(openssh), ""},
		"raw, cut":              {"raw", seed[:31], "31 bytes, not 32"},
		"raw, a line end":       {"raw", append(bytes.Clone(seed), '\n'), "33 bytes, not 32"},
		"raw, but hex":          {"raw", []byte(hexSeed), "--format hex"},
		"raw, but pem":          {"raw", pemOf(t, private), "--format pem"},
		"raw, seed and public":  {"raw", private, "public key behind it"},
		"raw, empty":            {"raw", nil, "0 bytes"},
		"hex, cut":              {"hex", []byte(hexSeed[:62]), "31 bytes"},
		"hex, odd":              {"hex", []byte(hexSeed[:63]), "not hexadecimal"},
		"hex, no digits":        {"hex", []byte(strings.Repeat("z", 64)), "not hexadecimal"},
		"pem, but raw":          {"pem", seed, "no PEM"},
		"pem, P-256":            {"pem", pemOf(t, other), "no Ed25519 key"},
		"pem, public":           {"pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}), "public"},
		"pem, damaged":          {"pem", damaged, "damaged"},
		"pem, SEC1":             {"pem", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: seed}), "no Ed25519 key"},
		"pem, another block":    {"pem", pem.EncodeToMemory(&pem.Block{Type: "MESSAGE", Bytes: seed}), "another kind"},
		"OpenSSH, encrypted":    {"pem", pem.EncodeToMemory(encrypted), "encrypted"},
		"PKCS#8, encrypted":     {"pem", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: seed}), "encrypted"},
		"OpenSSH, but no bytes": {"pem", pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: seed}), "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			decode, err := importFormat(protocol.Ed25519, test.format)
			if err != nil {
				t.Fatal(err)
			}
			got, err := decode(test.input)
			if test.says == "" {
				if err != nil || !bytes.Equal(got, seed) {
					t.Fatalf("%x, %v", got, err)
				}
				return
			}
			f, ok := err.(*failure)
			if !ok || f.exit != exitUsage || !strings.Contains(f.message+"; "+f.hint, test.says) {
				t.Fatalf("%+v", err)
			}
			for _, secret := range []string{hexSeed[:8], string(seed[:8]), base64Text(seed)[:8]} {
				if strings.Contains(f.message+f.hint, secret) {
					t.Error("the error shows the key")
				}
			}
		})
	}
}

func TestPublicKeyForms(t *testing.T) {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for format, encode := range publicFormats {
		text, err := encode(protocol.Ed25519, public)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parsePublicKey([]byte(text + "\n")); err != nil || !bytes.Equal(got, public) {
			t.Errorf("%s: %x, %v", format, got, err)
		}
	}
	if got, err := parsePublicKey(public); err != nil || !bytes.Equal(got, public) {
		t.Errorf("raw: %x, %v", got, err)
	}
	for _, bad := range []string{"", "AAAA", "ssh-ed25519 AAAA", "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQM=",
		base64.StdEncoding.EncodeToString(public[:31]), hex.EncodeToString(public) + "00",
		"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"} {
		if _, err := parsePublicKey([]byte(bad)); explain(t.Context(), err, false).exit != exitUsage {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, format := range []string{"pem", "ssh"} {
		if _, err := publicFormats[format]("secp256k1", public); err == nil {
			t.Errorf("%s: writes any kind", format)
		}
	}
}

func TestParseSignature(t *testing.T) {
	sig := make([]byte, 64)
	rand.Read(sig)
	for _, form := range []string{string(sig), base64Text(sig), base64Text(sig) + "\n"} {
		if got, err := parseSignature([]byte(form)); err != nil || !bytes.Equal(got, sig) {
			t.Errorf("%q: %x, %v", form, got, err)
		}
	}
	for _, bad := range []string{"", "AAAA", hex.EncodeToString(sig), base64Text(sig[:63])} {
		if _, err := parseSignature([]byte(bad)); explain(t.Context(), err, false).exit != exitUsage {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
