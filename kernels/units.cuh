// How a picture is cut into units of work.
//
// A unit is a box of samples, rows and pixels of the result; one block computes
// one unit for one tile of channels. A strided gradient computes its result in
// phases, by the parity of row and column; a unit then lies in one phase's plane:
//
//     result row 0 1 2 3 4 5, step 2:  plane 0 holds rows 0 2 4, plane 1 rows 1 3 5
#pragma once

#include "ops.cuh"

WRNC_DEVICE constexpr i32 ceil_div(i32 a, i32 b) { return (a + b - 1) / b; }

// Box is the size of a unit: samples x rows x pixels of a row.
template <i32 Samples_, i32 Rows_, i32 Pixels_>
struct Box {
  static constexpr i32 kSamples = Samples_, kRows = Rows_, kPixels = Pixels_;
  static constexpr i32 kVolume = kSamples * kRows * kPixels;
};

// Place is a unit: its first sample, its first row and column in the plane, and
// the phase.
struct Place {
  i32 n, y, x, phase_y, phase_x;
};

// Units are the units of a result of Rows x Cols pixels, in Step x Step phases:
//
//     unit = ((sampleGroup * bandsY + bandY) * bandsX + bandX) * phases + phase
template <i32 Rows, i32 Cols, i32 Step, class Box>
struct Units {
  static constexpr i32 kBandsY = ceil_div(ceil_div(Rows, Step), Box::kRows);
  static constexpr i32 kBandsX = ceil_div(ceil_div(Cols, Step), Box::kPixels);
  static constexpr i32 kPhases = Step * Step;
  static constexpr i32 kPerGroup = kBandsY * kBandsX * kPhases;
  static constexpr bool kEven = Rows % (Step * Box::kRows) == 0 && Cols % (Step * Box::kPixels) == 0;

  WRNC_DEVICE i32 count(i32 samples) { return ceil_div(samples, Box::kSamples) * kPerGroup; }

  WRNC_DEVICE Place place(i32 unit) {
    const i32 phase = unit % kPhases, band = unit / kPhases;
    return Place{band / (kBandsX * kBandsY) * Box::kSamples, band / kBandsX % kBandsY * Box::kRows,
                 band % kBandsX * Box::kPixels, phase / Step, phase % Step};
  }

  // at finds pixel m of a unit; false if it lies outside the result.
  WRNC_DEVICE bool at(const Place& u, i32 m, i32 samples, At& at) {
    at.n = u.n + m / (Box::kRows * Box::kPixels);
    at.y = (u.y + m / Box::kPixels % Box::kRows) * Step + u.phase_y;
    at.x = (u.x + m % Box::kPixels) * Step + u.phase_x;
    at.pixel = (at.n * Rows + at.y) * Cols + at.x;
    return m < Box::kVolume && at.n < samples && (kEven || (at.y < Rows && at.x < Cols));
  }

  // pixels is the number of pixels in `span` units from `first` on, as the
  // statistics weigh them. Units past the last have none.
  WRNC_DEVICE f32 pixels(i32 first, i32 span, i32 samples) {
    const i32 end = imin(first + span, count(samples));
    if (kEven) {
      const i32 full = samples / Box::kSamples * kPerGroup;  // units with all their samples
      const i32 whole = imax(0, imin(end, full) - first), cut = imax(0, end - imax(first, full));
      return f32((whole * Box::kSamples + cut * (samples % Box::kSamples)) * (Box::kRows * Box::kPixels));
    }
    i32 sum = 0;
    for (i32 unit = first; unit < end; unit++) {
      const Place u = place(unit);
      const i32 rows = ceil_div(Rows - u.phase_y, Step) - u.y, cols = ceil_div(Cols - u.phase_x, Step) - u.x;
      sum += imin(Box::kSamples, samples - u.n) * imax(0, imin(Box::kRows, rows)) * imax(0, imin(Box::kPixels, cols));
    }
    return f32(sum);
  }
};
