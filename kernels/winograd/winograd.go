// Package winograd has the matrices of Winograd's convolution F(2x2, 3x3), by which a
// tile of 2x2 results of a 3x3 filter takes 16 products a channel instead of 36
// (Lavin and Gray 2015, arXiv:1509.09308, section 4.1):
//
//	result          = Result (transformed filter . transformed picture) Result'
//	filter gradient = FilterGradient (transformed picture . transformed gradient) FilterGradient'
//
// where "." multiplies element by element, a transform of a tile x by a matrix m is
// m x m', and a picture's tile is 4x4: two pixels apart from the next, which it
// overlaps. The fourth row of Picture, and with it the fourth column of Result, has the
// other sign than in that paper, so that each row begins with an element that is added.
package winograd

// Matrix is a transform, by rows. Its elements are 0, 1, -1, 0.5 and -0.5, and each row
// has a positive one.
type Matrix [][]float32

// Tile and Outputs are rows and columns of a picture's tile and of its results;
// Products is how many products of a channel that takes.
const (
	Tile     = 4
	Outputs  = 2
	Products = Tile * Tile
)

// The transforms.
var (
	Picture        = Matrix{{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, -1, 0, 1}} // 4x4 of 4x4
	Filter         = Matrix{{1, 0, 0}, {.5, .5, .5}, {.5, -.5, .5}, {0, 0, 1}}         // 4x4 of 3x3
	Result         = Matrix{{1, 1, 1, 0}, {0, 1, -1, 1}}                               // 2x2 of 4x4
	Gradient       = Result.transposed()                                               // 4x4 of 2x2
	FilterGradient = Filter.transposed()                                               // 3x3 of 4x4
)

func (m Matrix) transposed() Matrix {
	t := make(Matrix, len(m[0]))
	for i := range t {
		for _, row := range m {
			t[i] = append(t[i], row[i])
		}
	}
	return t
}

// Term is an element of a row of a matrix that is not 0.
type Term struct {
	Index  int
	Factor float32
}

// Terms lists a row in the order in which its products are added up: the first
// positive one, and then the others.
func (m Matrix) Terms(row int) []Term {
	first := 0
	for m[row][first] <= 0 {
		first++
	}
	terms := []Term{{first, m[row][first]}}
	for i, f := range m[row] {
		if f != 0 && i != first {
			terms = append(terms, Term{i, f})
		}
	}
	return terms
}
