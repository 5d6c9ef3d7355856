// The input of a matrix: normed and quantised in two passes over a token.
//
// RMSNorm (Zhang and Sennrich, 2019) is x / rms * gain. Absmax quantisation (BitNet b1.58, Ma et al.,
// 2024) is q = round(u * levels / absmax(u)), halves to even, levels = 127 or 7. Dividing all of a
// token by its rms changes neither q nor the order of anything before it, so it is left out of u =
// x * gain and put into the scale that a product is multiplied by at the end. So the first pass makes
// u, the sum of squares and the peak; the second rounds.
//
// absmax(u / rms) is taken as 1e-5 at least, which keeps a zero vector zero.
//
// A quantised token: 16 bytes, i32 sum of q at SUM, f32 at INVERSE_SCALE, what to multiply q by; then
// q. The relaxed build stores q as int8, the strict one as the int16 that its dot product takes, each
// four columns in the order 0, 2, 1, 3 (strict.ts).

import { RELAXED } from "./tile";

export const SUM: usize = 0;
export const INVERSE_SCALE: usize = 4;
/** Bytes before q. */
export const TOKEN_SIZE: usize = 16;
const CODE_SIZE: usize = RELAXED ? 1 : 2;
const FLOOR: f32 = 1e-5;

/** Adding 1.5 * 2^23 to a small float leaves its nearest integer, halves to even, in the low bits. */
const ROUND: f32 = 12582912;

/** Bytes of a quantised token of n activations. */
// @ts-ignore: decorator
@inline
export function quantizedSize(n: usize): usize {
  return TOKEN_SIZE + n * CODE_SIZE;
}

/** Of the last norm(): the largest |u|. pmax is one instruction where max, which minds NaN, is six. */
export let peak: f32 = 0;

/** u[n] = x * gain; sets `peak`; returns 1 / rms(x). u may be x. n is a multiple of 8. */
export function norm(u: usize, x: usize, gain: usize, n: usize, eps: f32): f32 {
  return normOf(false, u, x, 0, gain, n, eps);
}

/** norm() of x = relu(gate)² * up. u may be gate. */
export function normGated(
  u: usize, gate: usize, up: usize, gain: usize, n: usize, eps: f32,
): f32 {
  return normOf(true, u, gate, up, gain, n, eps);
}

/** Both, as two loops: `gated` is a constant where this is inlined. */
// @ts-ignore: decorator
@inline
function normOf(
  gated: bool, u: usize, x: usize, up: usize, gain: usize, n: usize, eps: f32,
): f32 {
  const zero = f32x4.splat(0);
  let a = zero, b = a, peakA = a, peakB = a;
  for (const end = x + (n << 2); x < end; x += 32, gain += 32, u += 32) {
    let x0 = v128.load(x), x1 = v128.load(x, 16);
    if (gated) {
      x0 = f32x4.pmax(zero, x0);
      x1 = f32x4.pmax(zero, x1);
      x0 = f32x4.mul(f32x4.mul(x0, x0), v128.load(up));
      x1 = f32x4.mul(f32x4.mul(x1, x1), v128.load(up, 16));
      up += 32;
    }
    a = f32x4.add(a, f32x4.mul(x0, x0));
    b = f32x4.add(b, f32x4.mul(x1, x1));
    const u0 = f32x4.mul(x0, v128.load(gain)), u1 = f32x4.mul(x1, v128.load(gain, 16));
    peakA = f32x4.pmax(peakA, f32x4.abs(u0));
    peakB = f32x4.pmax(peakB, f32x4.abs(u1));
    v128.store(u, u0);
    v128.store(u, u1, 16);
  }
  peak = maxLanes(f32x4.pmax(peakA, peakB));
  return 1 / sqrt<f32>(sumLanes(f32x4.add(a, b)) / <f32>n + eps);
}

/** The largest |x[n]|; n is a multiple of 4. */
export function absmax(x: usize, n: usize): f32 {
  let m = f32x4.splat(0);
  for (const end = x + (n << 2); x < end; x += 16) m = f32x4.pmax(m, f32x4.abs(v128.load(x)));
  return maxLanes(m);
}

/**
 * The quantised token q of u[n] * factor, where absmax(u) is given; n is a multiple of 16.
 * |u * scale| <= levels up to rounding, far below where ROUND stops to work.
 */
export function quantize(
  q: usize, u: usize, n: usize, levels: f32, absmax: f32, factor: f32,
): void {
  const range = max(absmax, FLOOR / factor), scale = f32x4.splat(levels / range);
  let total = i32x4.splat(0);
  let p = q + TOKEN_SIZE;
  for (const end = u + (n << 2); u < end; u += 64, p += 16 * CODE_SIZE) {
    const a = roundToInt(f32x4.mul(v128.load(u), scale));
    const b = roundToInt(f32x4.mul(v128.load(u, 16), scale));
    const c = roundToInt(f32x4.mul(v128.load(u, 32), scale));
    const d = roundToInt(f32x4.mul(v128.load(u, 48), scale));
    total = i32x4.add(total, i32x4.add(i32x4.add(a, b), i32x4.add(c, d)));
    const ab = i16x8.narrow_i32x4_s(a, b), cd = i16x8.narrow_i32x4_s(c, d);
    if (RELAXED) {
      v128.store(p, i8x16.narrow_i16x8_s(ab, cd));
    } else {
      v128.store(p, v128.shuffle<i16>(ab, ab, 0, 2, 1, 3, 4, 6, 5, 7));
      v128.store(p, v128.shuffle<i16>(cd, cd, 0, 2, 1, 3, 4, 6, 5, 7), 16);
    }
  }
  total = i32x4.add(total, v128.shuffle<i32>(total, total, 2, 3, 0, 1));
  total = i32x4.add(total, v128.shuffle<i32>(total, total, 1, 0, 3, 2));
  store<i32>(q, i32x4.extract_lane(total, 0), SUM);
  store<f32>(q, range * factor / levels, INVERSE_SCALE);
}

/** The nearest integers, halves to even, of four floats below 2^22 in magnitude. */
// @ts-ignore: decorator
@inline
export function roundToInt(x: v128): v128 {
  const magic = f32x4.splat(ROUND);
  return i32x4.sub(f32x4.add(x, magic), magic);
}

// @ts-ignore: decorator
@inline
export function sumLanes(v: v128): f32 {
  v = f32x4.add(v, v128.shuffle<i32>(v, v, 2, 3, 0, 1));
  v = f32x4.add(v, v128.shuffle<i32>(v, v, 1, 0, 3, 2));
  return f32x4.extract_lane(v, 0);
}

// @ts-ignore: decorator
@inline
export function maxLanes(v: v128): f32 {
  v = f32x4.pmax(v, v128.shuffle<i32>(v, v, 2, 3, 0, 1));
  v = f32x4.pmax(v, v128.shuffle<i32>(v, v, 1, 0, 3, 2));
  return f32x4.extract_lane(v, 0);
}
