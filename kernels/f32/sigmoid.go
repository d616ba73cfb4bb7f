package f32

import "math"

// Sigmoid returns 1/(1 + e^-x), each step rounded as written, so that every target
// that follows the steps agrees to the bit: within three units in the last place
// where |x| <= 87, and its value there beyond. A NaN stays one.
//
// e^z is 2^n e^r with n the whole number next to z/ln 2 and r what is left, at most
// ln(2)/2; the polynomial of e^r is that of the Cephes library's expf. Adding 3*2^22
// rounds to a whole number, which the sum's last bits then hold.
func Sigmoid(x float32) float32 {
	const whole = 3 << 22
	z := -x
	if x > 87 {
		z = -87
	} else if x < -87 {
		z = 87
	}
	t := FMA(z, 1.44269504, whole)
	n := t - whole
	r := FMA(n, -0.693359375, z)
	r = FMA(n, 2.12194440e-4, r)
	p := FMA(1.9875691500e-4, r, 1.3981999507e-3)
	p = FMA(p, r, 8.3334519073e-3)
	p = FMA(p, r, 4.1665795894e-2)
	p = FMA(p, r, 1.6666665459e-1)
	p = FMA(p, r, 5.0000001201e-1)
	p = FMA(p, float32(r*r), r)
	e := p + 1
	e = float32(e * math.Float32frombits(math.Float32bits(t)<<23+0x3f800000))
	return 1 / (1 + e)
}

// SigmoidGrad returns g*(y*(1-y)), the gradient of a sigmoid whose value is y, each
// step rounded.
func SigmoidGrad(g, y float32) float32 {
	return g * float32(y*float32(1-y))
}
