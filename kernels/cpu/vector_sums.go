//go:build amd64

package cpu

func (k *vectorKernels) bnStats(acc []float32, seen int, x []float32, px, c int) {
	if px == 0 {
		return
	}
	need(2*c, acc)
	need(px*c, x)
	m, merge := k.whole(c), newMerge(seen, px)
	o := operandsPool.Get().(*operands)
	defer operandsPool.Put(o)
	mean, m2 := &o.mean, &o.m2
	for i := 0; i < m; i += k.lanes {
		clear(mean[:])
		clear(m2[:])
		k.sumRow(&mean[0], &x[i], 0, px, 4*c)
		for j := range k.lanes {
			mean[j] /= float32(px)
		}
		k.sumSquares(&m2[0], &x[i], &mean[0], 0, px, 4*c)
		for j := range k.lanes {
			merge.channel(acc, c, i+j, mean[j], m2[j])
		}
	}
	bnStatsFrom(m, acc, seen, x, px, c)
}

func (k *vectorKernels) bnGradStats(acc, g, x, mean []float32, px, c int) {
	need(2*c, acc)
	need(px*c, g, x)
	need(c, mean)
	m := k.whole(c)
	for i := 0; i < m && px > 0; i += k.lanes {
		k.gradStats(&acc[i], &g[i], &x[i], &mean[i], 4*c, px, 4*c)
	}
	bnGradStatsFrom(m, acc, g, x, mean, px, c)
}

func (k *vectorKernels) sumRows(acc, x []float32, px, c int) {
	need(c, acc)
	need(px*c, x)
	m := k.whole(c)
	for i := 0; i < m && px > 0; i += k.lanes {
		k.sumRow(&acc[i], &x[i], 0, px, 4*c)
	}
	sumRowsFrom(m, acc, x, px, c)
}
