package protocol

import (
	"fmt"
	"io"
)

// frameReader reads frames as [ReadFrame] does, and may be stopped at any moment
// by the reader's deadline: what has come of a frame stays, for whoever reads on.
type frameReader struct {
	r          io.Reader
	buf        []byte
	start, end int // what was read and not returned is buf[start:end]
}

// next returns the next frame. After an error it may be called again if that
// came from the deadline.
func (fr *frameReader) next() (*Frame, error) {
	for empty := 0; ; {
		n, head, err := frameLength(fr.buf[fr.start:fr.end])
		if err != nil {
			return nil, err
		}
		if head > 0 && fr.end-fr.start >= head+n {
			b := fr.buf[fr.start+head : fr.start+head+n]
			f, err := decodeFrame(b)
			fr.start += head + n
			if fr.start == fr.end {
				fr.start, fr.end = 0, 0
				if len(fr.buf) > readBuffer {
					fr.buf = nil
				}
			}
			return f, err
		}
		fr.makeRoom(max(head+n, maxLength))
		got, err := fr.r.Read(fr.buf[fr.end:])
		fr.end += got
		switch {
		case got > 0: // an error comes again
			empty = 0
		case err == io.EOF && fr.end > fr.start:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		default:
			if empty++; empty == 100 {
				return nil, io.ErrNoProgress
			}
		}
	}
}

// ready reports whether next need not read, or cannot any more.
func (fr *frameReader) ready() bool {
	n, head, err := frameLength(fr.buf[fr.start:fr.end])
	return err != nil || head > 0 && fr.end-fr.start >= head+n
}

// makeRoom has a frame of n bytes, its length included, fit behind start.
func (fr *frameReader) makeRoom(n int) {
	switch rest := fr.buf[fr.start:fr.end]; {
	case fr.start+n <= len(fr.buf) && fr.end < len(fr.buf):
		return
	case n <= len(fr.buf):
		copy(fr.buf, rest)
	default:
		buf := make([]byte, max(n, readBuffer))
		copy(buf, rest)
		fr.buf = buf
	}
	fr.start, fr.end = 0, fr.end-fr.start
}

// frameLength is the length that b begins with, and how many bytes say so: 0
// if there are more to come.
func frameLength(b []byte) (n, head int, err error) {
	for i, c := range b[:min(len(b), maxLength)] {
		n |= int(c&0x7f) << (7 * i)
		if c >= 0x80 {
			continue
		}
		if c == 0 && i > 0 {
			return 0, 0, fmt.Errorf("%w: length", ErrMalformed)
		}
		if n > MaxFrame {
			return 0, 0, ErrFrameTooLong
		}
		return n, i + 1, nil
	}
	if len(b) >= maxLength {
		return 0, 0, ErrFrameTooLong
	}
	return 0, 0, nil
}
