// Absmax quantisation of activations to int8 or int4, one scale a token (BitNet b1.58, Ma et al.,
// 2024): q = round(x * levels / absmax), halves to even, levels = 127 or 7. The floor of 1e-5 on
// absmax keeps a zero vector zero. Quantised values lie in [-levels, levels] by construction.
//
// The relaxed build stores q as int8. The strict build stores it as the int16 its dot product
// takes, each four columns in the order 0, 2, 1, 3 (why: matmul.ts).

const RELAXED: bool = ASC_FEATURE_RELAXED_SIMD;

/** Bytes of one quantised activation. */
export const ACTIVATION_BYTES: usize = RELAXED ? 1 : 2;

/** Of the last quantize(): what to multiply q by to get x back. */
export let inverseScale: f32 = 0;
/** Of the last quantize(): the sum of q, for the offset of the weights. */
export let sum: i32 = 0;

// @ts-ignore: decorator
@inline
function round4(x: usize, scale: v128): v128 {
  return i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(x), scale)));
}

/** q[n] = x[n] f32 quantised; n is a multiple of 16. Sets `inverseScale` and `sum`. */
export function quantize(q: usize, x: usize, n: u32, levels: f32): void {
  const xEnd = x + (n << 2);
  let peak = f32x4.splat(1e-5);
  for (let p = x; p < xEnd; p += 16) peak = f32x4.max(peak, f32x4.abs(v128.load(p)));
  peak = f32x4.max(peak, v128.shuffle<i32>(peak, peak, 2, 3, 0, 1));
  peak = f32x4.max(peak, v128.shuffle<i32>(peak, peak, 1, 0, 3, 2));
  const absmax = f32x4.extract_lane(peak, 0), scale = f32x4.splat(levels / absmax);
  let total = i32x4.splat(0);
  for (let p = x; p < xEnd; p += 64, q += 16 * ACTIVATION_BYTES) {
    const a = round4(p, scale), b = round4(p + 16, scale);
    const c = round4(p + 32, scale), d = round4(p + 48, scale);
    total = i32x4.add(total, i32x4.add(i32x4.add(a, b), i32x4.add(c, d)));
    if (RELAXED) {
      const ab = i16x8.narrow_i32x4_s(a, b), cd = i16x8.narrow_i32x4_s(c, d);
      v128.store(q, i8x16.narrow_i16x8_s(ab, cd));
    } else {
      const ab = i16x8.narrow_i32x4_s(a, b), cd = i16x8.narrow_i32x4_s(c, d);
      v128.store(q, v128.shuffle<i16>(ab, ab, 0, 2, 1, 3, 4, 6, 5, 7));
      v128.store(q, v128.shuffle<i16>(cd, cd, 0, 2, 1, 3, 4, 6, 5, 7), 16);
    }
  }
  sum =
    i32x4.extract_lane(total, 0) + i32x4.extract_lane(total, 1) +
    i32x4.extract_lane(total, 2) + i32x4.extract_lane(total, 3);
  inverseScale = absmax / levels;
}
