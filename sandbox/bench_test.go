package sandbox

import (
	"context"
	"crypto/ed25519"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/sandbox/processor"
)

// Each figure is given with its ratio to a baseline of the same run, since the machine may have other work. Measure
// with CGO_ENABLED=0; -benchtime 3s lets the machine settle.

var benchKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

func init() {
	Gate("bench", 1, func(Inside) (Handler, error) {
		return func(_ context.Context, request []byte) ([]byte, error) {
			if request[0] == 's' {
				return ed25519.Sign(benchKey, request), nil
			}
			return request[:100], nil
		}, nil
	})
}

func benchRequest(what byte) []byte {
	request := make([]byte, 300)
	request[0] = what
	return request
}

// interleave runs base and f in turns, until b.N of each are done, and returns the time of one of each: the median of
// the rounds, and the best, which is what idle cores would give.
func interleave(b *testing.B, base, f func(n int)) (tbase, tf, bestBase, bestF time.Duration) {
	const rounds = 40
	n := max(b.N/rounds, 1)
	var bases, fs []float64
	for done := 0; done < b.N; done += n {
		begin := time.Now()
		base(n)
		middle := time.Now()
		f(n)
		bases = append(bases, float64(middle.Sub(begin))/float64(n))
		fs = append(fs, float64(time.Since(middle))/float64(n))
	}
	return median(bases), median(fs), time.Duration(slices.Min(bases)), time.Duration(slices.Min(fs))
}

func median(v []float64) time.Duration {
	slices.Sort(v)
	return time.Duration(math.Round(v[len(v)/2]))
}

func report(b *testing.B, d time.Duration, unit string) {
	b.ReportMetric(float64(d)/1e3, unit)
}

// callAside calls a zone with 300 bytes, which it echoes in part or signs, in turns with a signature in this process.
func callAside(b *testing.B, what byte) (sign, call, bestSign, bestCall time.Duration) {
	z := start(b, Config{Name: "bench"})
	ctx := context.Background()
	request := benchRequest(what)
	return interleave(b,
		func(n int) {
			for range n {
				ed25519.Sign(benchKey, request)
			}
		},
		func(n int) {
			for range n {
				if _, err := z.Call(ctx, request); err != nil {
					b.Fatal(err)
				}
			}
		})
}

// 300 bytes in, 100 bytes out, one caller, who is lent a processor for each call or has a thread that stays on one. The
// baseline is one Ed25519 signature in this process.
func BenchmarkEcho(b *testing.B) {
	for _, own := range []bool{false, true} {
		b.Run("own="+strconv.FormatBool(own), func(b *testing.B) {
			if own {
				var thread processor.Keeper
				if !thread.Keep(0) {
					b.Skip("this thread may not be kept on processor 0")
				}
				defer thread.Keep(processor.None)
			}
			sign, echo, _, best := callAside(b, 'e')
			report(b, echo, "us/echo")
			report(b, best, "us/best-echo")
			b.ReportMetric(float64(echo)/float64(sign), "echo/sign")
		})
	}
}

// One caller that signs in the zone, against signing here.
func BenchmarkSign(b *testing.B) {
	sign, call, bestSign, bestCall := callAside(b, 's')
	report(b, call-sign, "us-added")
	report(b, bestCall-bestSign, "us-best-added")
	b.ReportMetric(float64(call)/float64(sign), "zone/in-process")
}

// Many callers that sign in the zone, against signing here on all cores: the part of the rate that is left.
func BenchmarkCallers(b *testing.B) {
	for _, callers := range []int{1, 2, 4, 16, 64} {
		b.Run(strconv.Itoa(callers), func(b *testing.B) {
			z := start(b, Config{Name: "bench"})
			ctx := context.Background()
			request := benchRequest('s')
			parallel := func(goroutines, n int, f func()) {
				var wg sync.WaitGroup
				for i := range goroutines {
					wg.Go(func() {
						for j := i; j < n; j += goroutines {
							f()
						}
					})
				}
				wg.Wait()
			}
			sign, call, bestSign, bestCall := interleave(b,
				func(n int) {
					parallel(min(callers, runtime.GOMAXPROCS(0)), n, func() { ed25519.Sign(benchKey, request) })
				},
				func(n int) {
					parallel(callers, n, func() {
						if _, err := z.Call(ctx, request); err != nil {
							b.Error(err)
						}
					})
				})
			b.ReportMetric(1e9/float64(call), "signs/s")
			b.ReportMetric(100*float64(sign)/float64(call), "%-of-in-process")
			b.ReportMetric(1e9/float64(bestCall), "best-signs/s")
			b.ReportMetric(100*float64(bestSign)/float64(bestCall), "best-%-of-in-process")
		})
	}
}

// From Start to a zone that answers, and from its death to the error. The baseline is a program that exits at once.
func BenchmarkStart(b *testing.B) {
	ctx := context.Background()
	var ready, noticed, plain []float64
	for b.Loop() {
		begin := time.Now()
		runNothing(b)
		plain = append(plain, float64(time.Since(begin)))
		begin = time.Now()
		z, err := Start(ctx, Config{Name: "bench"})
		if err != nil {
			b.Fatal(err)
		}
		ready = append(ready, float64(time.Since(begin)))
		begin = time.Now()
		z.child.kill()
		<-z.Done()
		noticed = append(noticed, float64(time.Since(begin)))
	}
	b.ReportMetric(float64(median(ready))/1e6, "ms-to-ready")
	b.ReportMetric(float64(median(noticed))/1e6, "ms-kill-to-noticed")
	b.ReportMetric(float64(median(ready))/float64(median(plain)), "ready/true")
}

// runNothing starts the smallest program there is and waits for it.
func runNothing(b *testing.B) {
	p, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{})
	if err != nil {
		b.Skip(err)
	}
	p.Wait()
}
