package cpu

import "unsafe"

// at is the float32 at a byte offset.
func at(p unsafe.Pointer, offset int) *float32 { return (*float32)(unsafe.Add(p, offset)) }

// tile8 is n floats of a multiply tile of the Go instruction set.
func tile8(p unsafe.Pointer, offset int) *[8]float32 { return (*[8]float32)(unsafe.Add(p, offset)) }

func goConv(a *ConvArgs) {
	taps := unsafe.Slice(a.Taps, a.NTaps)
	for p := range a.Pixels {
		out := tile8(a.Out, p*a.OutStep)
		var acc [8]float32
		if a.Accumulate != 0 {
			acc = *out
		}
		for _, t := range taps {
			for i := range a.C {
				x := *at(a.X, p*a.XStep+int(t.X)+4*i)
				w := tile8(a.W, int(t.W)+32*i)
				for k := range acc {
					acc[k] += float32(x * w[k])
				}
			}
		}
		*out = acc
	}
}

func goWgrad(a *WgradArgs) {
	for i := range a.C {
		out := tile8(a.DW, i*a.DWStep)
		acc := *out
		for r := range a.Rows {
			for p := range a.Pixels {
				x := *at(a.X, r*a.XRow+p*a.XStep+4*i)
				dy := tile8(a.DY, r*a.DYRow+p*a.DYStep)
				for k := range acc {
					acc[k] += float32(x * dy[k])
				}
			}
		}
		*out = acc
	}
}
