package protocol

import "context"

// MnemonicOptions say how a mnemonic (BIP 39) is. The zero value is 24 English
// words without a passphrase of their own.
type MnemonicOptions struct {
	Words      int    // of a new one: 12, 15, 18, 21 or 24; 0: 24
	Language   string // english or japanese; "": english
	Passphrase []byte // the mnemonic's own, at most 4 KiB: another one makes another wallet; the caller wipes it
	Overwrite  bool   // replace the record that is there
}

// passphrase is nil if there is none.
func (o *MnemonicOptions) passphrase() []byte {
	if len(o.Passphrase) == 0 {
		return nil
	}
	return o.Passphrase
}

// GenerateMnemonic makes a mnemonic, keeps it with its seed at loc, and returns
// its words, one space between them. They cannot be asked for again, and whoever
// has them has the wallet: the caller shows and wipes them. It is for the local
// door alone.
func (c Client) GenerateMnemonic(ctx context.Context, loc *Location, o MnemonicOptions) ([]byte, error) {
	req := &Request{Id: NewID(), Operation: "bip39.generate", Location: loc, Language: o.Language,
		Size: uint32(o.Words / 3 * 4), Overwrite: o.Overwrite} // 11 bits a word, one of each 33 for the checksum
	if o.Words%3 != 0 {
		return nil, &Error{Status: Status_INVALID, Operation: req.Operation, Field: "size", Detail: "12, 15, 18, 21 or 24 words", RequestID: req.Id}
	}
	key, err := NewSealKey()
	if err != nil {
		return nil, err
	}
	req.ReplyKey = key.Public()
	resp, err := c.doSealed(ctx, req, nil, o.passphrase())
	if err != nil {
		return nil, err
	}
	return Open(key, req, "reply_key", ToAsker, resp.Sealed)
}

// RecoverMnemonic seals the words of a mnemonic to the zone, which keeps it with
// its seed at loc. Words are separated by one space; the caller wipes them.
func (c Client) RecoverMnemonic(ctx context.Context, loc *Location, words []byte, o MnemonicOptions) error {
	req := &Request{Id: NewID(), Operation: "bip39.recover", Location: loc, Language: o.Language, Overwrite: o.Overwrite}
	_, err := c.doSealed(ctx, req, words, o.passphrase())
	return err
}

// GenerateSeed makes a seed of size bytes (16 to 64; 0: 64) at loc, to derive
// keys from. Nobody ever sees it.
func (c Client) GenerateSeed(ctx context.Context, loc *Location, size int, overwrite bool) error {
	_, err := c.Do(ctx, &Request{Operation: "slip10.generate", Location: loc, Size: uint32(size), Overwrite: overwrite})
	return err
}

// DeriveKey derives an Ed25519 key (SLIP-0010) from the seed, the mnemonic or the
// extended key at from, keeps it at to, and returns its public half. Every
// element of path is hardened: m/44'/4218'/0'.
func (c Client) DeriveKey(ctx context.Context, from, to *Location, path string, overwrite bool) ([]byte, error) {
	resp, err := c.Do(ctx, &Request{Operation: "slip10.derive", Location: from, Target: to, Path: path, Overwrite: overwrite})
	return resp.GetPublicKey(), err
}
