package cpu

import "wrnc/kernels/winograd"

var goTransforms = Winograd{
	Picture:        goTransform(winograd.Picture),
	Filter:         goTransform(winograd.Filter),
	Result:         goTransform(winograd.Result),
	Gradient:       goTransform(winograd.Gradient),
	FilterGradient: goTransform(winograd.FilterGradient),
}

func goTransform(m winograd.Matrix) func(a *TransformArgs) {
	var terms [][]winograd.Term
	for i := range m {
		terms = append(terms, m.Terms(i))
	}
	columns := len(m[0])
	return func(a *TransformArgs) {
		for t := range a.Tiles {
			for c := range a.C {
				x, y := t*a.XStep+4*c, t*a.YStep+4*c
				for i := range terms {
					var u [winograd.Tile]float32
					for s := range columns {
						for k, r := range terms[i] {
							u[s] = plus(k, u[s], r.Factor*(*at(a.X, x+r.Index*a.XRow+s*a.XCol)))
						}
					}
					for j := range terms {
						var sum float32
						for k, s := range terms[j] {
							sum = plus(k, sum, s.Factor*u[s.Index])
						}
						*at(a.Y, y+i*a.YRow+j*a.YCol) = sum
					}
				}
			}
		}
	}
}

// plus adds term k to a sum, of which term 0 is the begin. The term is rounded before.
func plus(k int, sum, term float32) float32 {
	if k == 0 {
		return float32(term)
	}
	return sum + float32(term)
}
