package chart

import (
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// eyes map linear RGB to what readers see: all colours, or without the cones for
// long, middle or short waves (Machado, Oliveira and Fernandes, 2009, severity 1).
var eyes = map[string][3][3]float64{
	"all colours":  {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
	"protanopia":   {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}},
	"deuteranopia": {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},
	"tritanopia":   {{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}},
}

// linear is a colour such as #0056bb in linear RGB (sRGB, IEC 61966-2-1).
func linear(t *testing.T, colour string) (rgb [3]float64) {
	for i := range rgb {
		v, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		require.NoError(t, err)
		if c := float64(v) / 255; c <= 0.04045 {
			rgb[i] = c / 12.92
		} else {
			rgb[i] = math.Pow((c+0.055)/1.055, 2.4)
		}
	}
	return rgb
}

func luminance(c [3]float64) float64 { return 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2] }

// lab is a colour in CIE 1976 L*a*b*, in which distances are about those seen.
func lab(c [3]float64) [3]float64 {
	f := func(t float64) float64 {
		if t > 0.008856 {
			return math.Cbrt(t)
		}
		return 7.787*t + 16.0/116
	}
	x, y, z := 0.4124*c[0]+0.3576*c[1]+0.1805*c[2], luminance(c), 0.0193*c[0]+0.1192*c[1]+0.9505*c[2]
	fx, fy, fz := f(x/0.9505), f(y), f(z/1.089)
	return [3]float64{116*fy - 16, 500 * (fx - fy), 200 * (fy - fz)}
}

func seen(eye [3][3]float64, c [3]float64) [3]float64 {
	var s [3]float64
	for i, row := range eye {
		s[i] = min(1, max(0, row[0]*c[0]+row[1]*c[1]+row[2]*c[2]))
	}
	return lab(s)
}

// TestColours holds the colours apart from each other for all readers, and from their
// ground. A distance of 2 is just visible; here no two are nearer than 20.
func TestColours(t *testing.T) {
	for _, theme := range []struct {
		ground string
		colour func(i int) string
	}{
		{lightGround, func(i int) string { return colours[i].light }},
		{darkGround, func(i int) string { return colours[i].dark }},
	} {
		ground := luminance(linear(t, theme.ground))
		for i := range colours {
			c := linear(t, theme.colour(i))
			y := luminance(c)
			require.Greater(t, (max(y, ground)+0.05)/(min(y, ground)+0.05), 2.3, "%s on %s", theme.colour(i), theme.ground)
			for name, eye := range eyes {
				for j := range i {
					a, b := seen(eye, c), seen(eye, linear(t, theme.colour(j)))
					distance := math.Hypot(math.Hypot(a[0]-b[0], a[1]-b[1]), a[2]-b[2])
					require.Greater(t, distance, 20.0, "%s: %s and %s", name, theme.colour(i), theme.colour(j))
				}
			}
		}
	}
	require.Equal(t, len(colours), len(terminalColours))
}
