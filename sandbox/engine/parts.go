package engine

import (
	"bufio"
	"fmt"
	"io"
	"sync"

	"github.com/stronghold-go/stronghold/procedures"
	"github.com/stronghold-go/stronghold/protocol"
)

// maxForeign bounds the files of other programs, in bytes: those that come and
// what they hold, and those that go. The change that an import makes goes over
// the pipe at once.
const maxForeign = 32 << 20

// parts is a file that comes over a door whose frames are small. The requests that
// bring it have one id. There is one such file: who begins another forgets the one
// before it.
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

// giving is a file on its way out, a part after the other.
type giving struct {
	mu   sync.Mutex
	id   [16]byte
	from io.Closer // nil: there is none
	file *bufio.Reader
	at   uint64 // what was given out
}

// give returns the part of the file that req asks for: the next one. The file is
// forgotten with its last part.
func (g *giving) give(req *protocol.Request) (*protocol.Response, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.from == nil || g.id != [16]byte(req.Id) || req.Offset != g.at {
		return nil, &procedures.InputError{Field: "offset", Reason: "there is no such part; begin anew"}
	}
	part := make([]byte, protocol.MaxPart)
	n, err := io.ReadFull(g.file, part)
	if err == nil {
		_, err = g.file.Peek(1)
	}
	if err != nil {
		g.from.Close()
		g.from = nil
	}
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	g.at += uint64(n)
	return &protocol.Response{Snapshot: part[:n], More: err == nil}, nil
}

// begin has give give out a file, in place of another.
func (g *giving) begin(id []byte, file io.ReadCloser) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.from != nil {
		g.from.Close()
	}
	g.id, g.from, g.file, g.at = [16]byte(id), file, bufio.NewReader(file), 0
}
