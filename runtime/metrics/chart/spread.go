package chart

import "slices"

// spread moves places apart until none is nearer than gap to the next, within
// lo..hi where all fit. Their order stays, and each is as near to where it wants to
// be as those around it allow: touching ones form a pile, which lies where its
// members want to be on average.
func spread(wanted []float64, lo, hi, gap float64) []float64 {
	order := make([]int, len(wanted))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case wanted[a] < wanted[b]:
			return -1
		case wanted[a] > wanted[b]:
			return 1
		}
		return 0
	})
	type pile struct {
		first, n int     // members, by order
		sum      float64 // of where the first would lie by each member's wish
	}
	top := func(p pile) float64 {
		return max(lo, min(p.sum/float64(p.n), hi-gap*float64(p.n-1)))
	}
	var piles []pile
	for i, k := range order {
		piles = append(piles, pile{first: i, n: 1, sum: wanted[k]})
		for n := len(piles); n > 1; n = len(piles) {
			above, below := piles[n-2], piles[n-1]
			if top(above)+gap*float64(above.n) <= top(below) {
				break
			}
			above.sum += below.sum - gap*float64(above.n*below.n)
			above.n += below.n
			piles = append(piles[:n-2], above)
		}
	}
	places := make([]float64, len(wanted))
	for _, p := range piles {
		for i := range p.n {
			places[order[p.first+i]] = top(p) + gap*float64(i)
		}
	}
	return places
}
