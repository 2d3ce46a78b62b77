package snapshot

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/stronghold-go/stronghold/vault"
)

// manyRecords is a state of 100,000 records of 32 bytes.
func manyRecords(b *testing.B) (*Keys, *Header, *vault.DB) {
	b.Helper()
	k, h := newKeys(b)
	db := newDB(b, k)
	for v := range 10 {
		c, err := db.Stage(func(tx *vault.Tx) error {
			for i := range 10_000 {
				p := vault.At([]byte("client"), fmt.Append(nil, "vault ", v), fmt.Append(nil, "record ", i))
				if _, err := tx.Put(p, vault.Value{Kind: vault.Data, Secret: make([]byte, 32)}, true); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			err = db.Commit(c.Sequence)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	return k, h, db
}

// inTurns measures ours and theirs in turns and reports the ratio of their times.
func inTurns(b *testing.B, ours, theirs func() error) {
	var our, their time.Duration
	for b.Loop() {
		start := time.Now()
		if err := ours(); err != nil {
			b.Fatal(err)
		}
		between := time.Now()
		if err := theirs(); err != nil {
			b.Fatal(err)
		}
		our, their = our+between.Sub(start), their+time.Since(between)
	}
	b.ReportMetric(float64(our.Milliseconds())/float64(b.N), "ms")
	b.ReportMetric(float64(our)/float64(their), "×age")
}

// BenchmarkOpen opens 100,000 records, without a password hash, beside age that
// decrypts as many bytes for an X25519 identity.
func BenchmarkOpen(b *testing.B) {
	k, h, db := manyRecords(b)
	var file bytes.Buffer
	j, err := Write(&file, k, h, db.Freeze(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		b.Fatal(err)
	}
	var theirs bytes.Buffer
	if err := encrypt(&theirs, id.Recipient(), file.Bytes()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(file.Len())/1e6, "MB")
	inTurns(b, func() error {
		s, err := readBelow(b, k, file.Bytes())
		if err != nil {
			return err
		}
		s.Close()
		return nil
	}, func() error {
		r, err := age.Decrypt(bytes.NewReader(theirs.Bytes()), id)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, r)
		return err
	})
}

// BenchmarkSave writes them, beside age that encrypts as many bytes.
func BenchmarkSave(b *testing.B) {
	k, h, db := manyRecords(b)
	id, err := age.GenerateX25519Identity()
	if err != nil {
		b.Fatal(err)
	}
	var out bytes.Buffer
	if j, err := Write(&out, k, h, db.Freeze(), nil); err != nil {
		b.Fatal(err)
	} else {
		j.Close()
	}
	plain := make([]byte, out.Len())
	inTurns(b, func() error {
		j, err := Write(io.Discard, k, h, db.Freeze(), nil)
		if err != nil {
			return err
		}
		j.Close()
		return nil
	}, func() error { return encrypt(io.Discard, id.Recipient(), plain) })
}

func encrypt(to io.Writer, recipient age.Recipient, plain []byte) error {
	w, err := age.Encrypt(to, recipient)
	if err != nil {
		return err
	}
	if _, err := w.Write(plain); err != nil {
		return err
	}
	return w.Close()
}
