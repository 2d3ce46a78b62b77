//go:build !unix

package protocol

import "io"

func quickWriterOf(io.Writer) quickWriter { return nil }
