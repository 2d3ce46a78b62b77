package engine

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/stronghold-go/stronghold/procedures"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox/memory"
)

// maxForeign bounds the files of other programs, in bytes: those that come and
// what they hold, and those that go. The change that an import makes goes over
// the pipe at once.
const maxForeign = 32 << 20

// parts is a file that comes or goes over a door whose frames are small. The
// requests that bring it, or fetch it, have one id. There is one such file in
// each direction: who begins another forgets the one before it.
type parts struct {
	mu   sync.Mutex
	id   [16]byte
	file []byte
}

// take appends a part and returns the file when it is whole, nil before. It is
// given out once.
func (p *parts) take(req *protocol.Request) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case len(req.Snapshot) > protocol.MaxPart:
		return nil, &procedures.InputError{Field: "snapshot", Reason: fmt.Sprintf("a part has at most %d bytes", protocol.MaxPart)}
	case req.Offset == 0:
		p.id, p.file = [16]byte(req.Id), nil
	case p.id != [16]byte(req.Id) || req.Offset != uint64(len(p.file)):
		return nil, &procedures.InputError{Field: "offset", Reason: "not where the part before it ended; begin anew"}
	}
	if len(p.file)+len(req.Snapshot) > maxForeign {
		p.file = nil
		return nil, &procedures.InputError{Field: "snapshot", Reason: fmt.Sprintf("a file has at most %d bytes", maxForeign)}
	}
	p.file = append(p.file, req.Snapshot...)
	if req.More {
		return nil, nil
	}
	whole := p.file
	p.id, p.file = [16]byte{}, nil
	return whole, nil
}

// give returns the part of the file that req asks for. The file is forgotten
// with its last part.
func (p *parts) give(req *protocol.Request) (*protocol.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.id != [16]byte(req.Id) || req.Offset > uint64(len(p.file)) {
		return nil, &procedures.InputError{Field: "offset", Reason: "there is no such part; begin anew"}
	}
	rest := p.file[req.Offset:]
	part := rest[:min(len(rest), protocol.MaxPart)]
	more := len(part) < len(rest)
	if !more {
		p.id, p.file = [16]byte{}, nil
	}
	return &protocol.Response{Snapshot: bytes.Clone(part), More: more}, nil
}

// begin has give give out file.
func (p *parts) begin(id []byte, file []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.id, p.file = [16]byte(id), file
}

// unsealPair opens two secrets that were sealed together. The caller wipes both.
func (e *Engine) unsealPair(req *protocol.Request) (first, second []byte, wipe func(), err error) {
	both, err := e.unseal(req)
	if err != nil {
		return nil, nil, nil, err
	}
	first, second, ok := protocol.SplitSecrets(both)
	if !ok {
		memory.Wipe(both)
		return nil, nil, nil, &procedures.InputError{Field: "secret", Reason: "does not hold two secrets"}
	}
	return first, second, func() { memory.Wipe(both) }, nil
}
