package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/stronghold-go/stronghold/protocol"
)

func base64Text(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// importFormat is how a secret of the kind is read from a file of the format.
// The errors of the function never show what was read.
func importFormat(kind, format string) (func([]byte) ([]byte, error), error) {
	exact := seedOf // an Ed25519 seed is the only one of these with one length that a person gets wrong
	if kind != protocol.Ed25519 {
		exact = func(b []byte) ([]byte, error) { return bytes.Clone(b), nil }
	}
	switch format {
	case "raw":
		return exact, nil
	case "hex":
		return func(b []byte) ([]byte, error) {
			raw, err := fromHex(b)
			if err != nil {
				return nil, err
			}
			defer clear(raw)
			return exact(raw)
		}, nil
	case "pem":
		if kind == protocol.Ed25519 {
			return seedFromPEM, nil
		}
		return nil, usage("--format pem is for --type "+protocol.Ed25519, "one of: raw, hex")
	}
	return nil, usage(fmt.Sprintf("--format %q is not known", format), "one of: raw, hex, pem")
}

func fromHex(b []byte) ([]byte, error) {
	b = bytes.TrimSpace(b)
	raw := make([]byte, hex.DecodedLen(len(b)))
	n, err := hex.Decode(raw, b)
	if err != nil {
		clear(raw)
		return nil, badKey("not hexadecimal digits", "")
	}
	return raw[:n], nil
}

func badKey(what, hint string) *failure {
	return &failure{exit: exitUsage, code: "invalid", message: "the key: " + what, hint: hint}
}

// seedOf takes a seed for what it is, if it has a seed's length.
func seedOf(b []byte) ([]byte, error) {
	if len(b) == ed25519.SeedSize {
		return bytes.Clone(b), nil
	}
	hint := "an ed25519 key is its seed of 32 bytes"
	switch {
	case bytes.Contains(b, []byte("-----BEGIN ")):
		hint = "this looks like --format pem"
	case len(b) == ed25519.PrivateKeySize, len(bytes.TrimSpace(b)) == hex.EncodedLen(ed25519.SeedSize):
		hint = "64 bytes may be a seed in hexadecimal (--format hex), or a seed with the public key behind it, which has to be cut off"
	}
	return nil, badKey(fmt.Sprintf("%d bytes, not %d", len(b), ed25519.SeedSize), hint)
}

// seedFromPEM reads PKCS#8 (RFC 8410) and OpenSSH's own form.
func seedFromPEM(b []byte) ([]byte, error) {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, badKey("no PEM in it", "raw seeds are --format raw")
	}
	defer clear(block.Bytes)
	const withoutPassphrase = "take the passphrase off a copy, `ssh-keygen -p -f COPY`, and import that"
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "OPENSSH PRIVATE KEY":
		key, err = ssh.ParseRawPrivateKey(b)
	case "ENCRYPTED PRIVATE KEY":
		return nil, badKey("it is encrypted", "decrypt a copy, `openssl pkey -in FILE -out COPY`, and import that")
	case "PUBLIC KEY", "CERTIFICATE":
		return nil, badKey("this is a public one", "the secret half is needed: BEGIN PRIVATE KEY")
	case "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY":
		return nil, badKey("it is no Ed25519 key", "kinds: "+protocol.Ed25519)
	default:
		return nil, badKey("a PEM block of another kind", "PRIVATE KEY and OPENSSH PRIVATE KEY are read")
	}
	switch k := key.(type) {
	case ed25519.PrivateKey:
		defer clear(k)
		return k.Seed(), nil
	case *ed25519.PrivateKey:
		defer clear(*k)
		return k.Seed(), nil
	}
	switch {
	case errors.As(err, new(*ssh.PassphraseMissingError)):
		return nil, badKey("it is encrypted", withoutPassphrase)
	case err != nil:
		return nil, badKey("the PEM block is damaged", "")
	}
	return nil, badKey("it is no Ed25519 key", "kinds: "+protocol.Ed25519)
}

// publicFormats write a public key of a kind.
var publicFormats = map[string]func(kind string, public []byte) (string, error){
	"base64": func(_ string, public []byte) (string, error) { return base64Text(public), nil },
	"hex":    func(_ string, public []byte) (string, error) { return hex.EncodeToString(public), nil },
	"pem": func(kind string, public []byte) (string, error) {
		if err := isEd25519(kind, public); err != nil {
			return "", err
		}
		der, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(public))
		return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), err
	},
	"ssh": func(kind string, public []byte) (string, error) {
		if err := isEd25519(kind, public); err != nil {
			return "", err
		}
		key, err := ssh.NewPublicKey(ed25519.PublicKey(public))
		if err != nil {
			return "", err
		}
		return string(ssh.MarshalAuthorizedKey(key)), nil
	},
}

func isEd25519(kind string, public []byte) error {
	if kind != protocol.Ed25519 || len(public) != ed25519.PublicKeySize {
		return failed("wrong_kind", "a key of this kind is not written so", "--format base64 and hex write every kind")
	}
	return nil
}

// parsePublicKey reads an Ed25519 public key in any form that publicFormats
// write, or its 32 bytes.
func parsePublicKey(b []byte) (ed25519.PublicKey, error) {
	if len(b) == ed25519.PublicKeySize {
		return b, nil
	}
	text := bytes.TrimSpace(b)
	if block, _ := pem.Decode(text); block != nil {
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if public, ok := key.(ed25519.PublicKey); err == nil && ok {
			return public, nil
		}
		return nil, usage("--public-key: no Ed25519 public key in this PEM", "")
	}
	if bytes.HasPrefix(text, []byte("ssh-")) {
		key, _, _, _, err := ssh.ParseAuthorizedKey(text)
		if public, ok := key.(ssh.CryptoPublicKey); err == nil && ok {
			if public, ok := public.CryptoPublicKey().(ed25519.PublicKey); ok {
				return public, nil
			}
		}
		return nil, usage("--public-key: no ssh-ed25519 key", "")
	}
	if public, err := base64.StdEncoding.DecodeString(string(text)); err == nil && len(public) == ed25519.PublicKeySize {
		return public, nil
	}
	if public, err := hex.DecodeString(string(text)); err == nil && len(public) == ed25519.PublicKeySize {
		return public, nil
	}
	return nil, usage("--public-key: not an Ed25519 public key", "it takes what `shnode key public` prints: base64, or hex, pem, ssh")
}

// parseSignature reads 64 bytes, or their base64.
func parseSignature(b []byte) ([]byte, error) {
	if len(b) == ed25519.SignatureSize {
		return b, nil
	}
	sig, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(b)))
	if err != nil || len(sig) != ed25519.SignatureSize {
		return nil, usage("--signature: not an Ed25519 signature", "it takes what `shnode sign` prints, or @FILE for what it wrote with --out")
	}
	return sig, nil
}
