//go:build linux

package memory

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

var touched byte // so that the compiler does not drop a load

// The pages before and behind an arena cannot be touched.
//
//go:nocheckptr
func TestGuardPages(t *testing.T) {
	a := newArena(t, 3*pageSize())
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	first := unsafe.Pointer(unsafe.SliceData(a.m.pages))
	faults := func(at int) (fault any) {
		defer func() { fault = recover() }()
		touched = *(*byte)(unsafe.Add(first, at))
		return nil
	}
	size := 3 * pageSize()
	for at, want := range map[int]bool{-pageSize(): true, -1: true, 0: false, size - 1: false, size: true, size + pageSize() - 1: true} {
		if got := faults(at); (got != nil) != want {
			t.Errorf("byte %d: %v, want a fault: %v", at, got, want)
		}
	}
}

// Where there is no memfd_secret.
func TestLockedPages(t *testing.T) {
	size := 4 * pageSize()
	at, err := unix.MmapPtr(-1, 0, nil, uintptr(size), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.MunmapPtr(at, uintptr(size))
	if err := mapLocked(at, size); err != nil {
		t.Fatal(err)
	}
	pages := unsafe.Slice((*byte)(at), size)
	pages[size-1] = 1
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	_, mine, found := strings.Cut(string(smaps), fmt.Sprintf("\n%x-", uintptr(at)))
	if !found {
		t.Fatal("the mapping is not in smaps")
	}
	_, flags, _ := strings.Cut(mine, "VmFlags:")
	flags, _, _ = strings.Cut(flags, "\n")
	for name, flag := range map[string]string{"locked": " lo", "not copied by fork": " dc", "not dumped": " dd"} {
		if !strings.Contains(flags, flag) {
			t.Errorf("the pages are not %s: %s", name, flags)
		}
	}
}
