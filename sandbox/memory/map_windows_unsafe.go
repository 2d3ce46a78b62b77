//go:build windows

package memory

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

func pageSize() int { return windows.Getpagesize() }

// mapPages reserves size bytes and a page on each side that nothing may touch, and commits and locks the middle.
// VirtualLock is bounded by the working set, whose default minimum allows about 50 pages.
func mapPages(size, page int) (mapping, error) {
	whole := uintptr(size + 2*page)
	base, err := windows.VirtualAlloc(0, whole, windows.MEM_RESERVE, windows.PAGE_NOACCESS)
	if err != nil {
		return mapping{}, fmt.Errorf("memory: reserving %d bytes: %w", whole, err)
	}
	unmap := func() error { return windows.VirtualFree(base, 0, windows.MEM_RELEASE) }
	at, err := windows.VirtualAlloc(base+uintptr(page), uintptr(size), windows.MEM_COMMIT, windows.PAGE_READWRITE)
	if err != nil {
		unmap()
		return mapping{}, fmt.Errorf("memory: VirtualAlloc: %w", err)
	}
	if err := windows.VirtualLock(at, uintptr(size)); err != nil {
		unmap()
		return mapping{}, &LockError{size, fmt.Errorf("VirtualLock: %w", err)}
	}
	// Not unsafe.Pointer(at), which vet takes for arithmetic on the Go heap.
	pages := unsafe.Slice(*(**byte)(unsafe.Pointer(&at)), size)
	return mapping{pages: pages, kind: "locked pages", unmap: unmap}, nil
}
