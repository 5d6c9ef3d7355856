// The rest of a layer, all float32. Vectors are 16-byte aligned, their length n is a multiple of 8.

import { maxLanes, sumLanes } from "./quantize";

/** x[n] += y[n] */
export function addTo(x: usize, y: usize, n: u32): void {
  for (const end = x + (n << 2); x < end; x += 16, y += 16) {
    v128.store(x, f32x4.add(v128.load(x), v128.load(y)));
  }
}

/** sum(x[n] * y[n]) */
export function dot(x: usize, y: usize, n: u32): f32 {
  let a = f32x4.splat(0), b = a;
  for (const end = x + (n << 2); x < end; x += 32, y += 32) {
    a = f32x4.add(a, f32x4.mul(v128.load(x), v128.load(y)));
    b = f32x4.add(b, f32x4.mul(v128.load(x, 16), v128.load(y, 16)));
  }
  return sumLanes(f32x4.add(a, b));
}

/** sum(max(x[n], 0) * y[n]) */
export function dotRelu(x: usize, y: usize, n: u32): f32 {
  const zero = f32x4.splat(0);
  let a = zero;
  for (const end = x + (n << 2); x < end; x += 16, y += 16) {
    a = f32x4.add(a, f32x4.mul(f32x4.max(v128.load(x), zero), v128.load(y)));
  }
  return sumLanes(a);
}

/**
 * Fills the rotary table (Su et al., 2021): for each position a row of headDim / 2 cosines, then as
 * many sines, of position / theta^(2i / headDim). Each is turned from the one before by the angle of one
 * position, in f64: 65,536 turns are wrong by less than 65,536 * 2^-52, which an f32 does not show.
 */
export function fillRope(table: usize, positions: u32, headDim: u32, theta: f64): void {
  const half = <usize>headDim << 1, row = half << 1; // bytes
  for (let i: usize = 0; i < half; i += 4) {
    const angle = Math.pow(theta, -(<f64>i) / <f64>half);
    const turnCos = Math.cos(angle), turnSin = Math.sin(angle);
    let cos: f64 = 1, sin: f64 = 0;
    for (let p = table + i, end = p + positions * row; p < end; p += row) {
      store<f32>(p, <f32>cos);
      store<f32>(p + half, <f32>sin);
      const next = cos * turnCos - sin * turnSin;
      sin = sin * turnCos + cos * turnSin;
      cos = next;
    }
  }
}

/** Rotates `heads` vectors of headDim in place; element i pairs with i + headDim / 2. */
export function rope(x: usize, row: usize, heads: u32, headDim: u32): void {
  const half = headDim << 1; // bytes of headDim / 2 floats
  for (let head: u32 = 0; head < heads; head++, x += half << 1) {
    for (let i: usize = 0; i < half; i += 16) {
      const cos = v128.load(row + i), sin = v128.load(row + half + i);
      const a = v128.load(x + i), b = v128.load(x + half + i);
      v128.store(x + i, f32x4.sub(f32x4.mul(a, cos), f32x4.mul(b, sin)));
      v128.store(x + half + i, f32x4.add(f32x4.mul(b, cos), f32x4.mul(a, sin)));
    }
  }
}

/** log2(e): what turns an exponent of e into one of 2. */
export const LOG2E: f32 = 1.4426950408889634;

/**
 * For 2^x: 1.5 * 2^23, which rounds what it is added to; the lowest exponent; then the minimax
 * polynomial of degree 3 for 2^f, |f| <= 1/2, its coefficients from the highest. Probabilities are
 * rounded to 7 bits afterwards; train/model.py has the same polynomial.
 */
// prettier-ignore
const EXP2: usize = memory.data<f32>([
  12582912, -126, 0.05517166905792616, 0.2426111221932161, 0.6932609854606553, 0.9999280735394012,
], 16);

/** Of the last softmax(): the largest of what it left. */
export let softmaxPeak: f32 = 0;

/**
 * x[n] = 2^(x - max(x)) * weights[n], for weights > 0; sets `softmaxPeak`; returns 1 / sum(2^(x -
 * max(x))), which the caller multiplies by when it has summed. Entries from n to the next multiple of
 * 16 become less than 2^-125 times their weight; there is room for them, and weights can be read that
 * far. Powers have a relative error below 8e-5, and below 2^-126 are 2^-126.
 */
export function softmax(x: usize, weights: usize, n: usize): f32 {
  const padded = x + (((n + 15) & ~15) << 2);
  for (let p = x + (n << 2); p < padded; p += 4) store<f32>(p, -Infinity);
  let top = v128.load(x), top2 = v128.load(x, 16);
  for (let p = x + 32; p < padded; p += 32) {
    top = f32x4.pmax(top, v128.load(p));
    top2 = f32x4.pmax(top2, v128.load(p, 16));
  }
  top = f32x4.splat(maxLanes(f32x4.pmax(top, top2)));
  const round = v128.load32_splat(EXP2), lowest = v128.load32_splat(EXP2, 4);
  const c3 = v128.load32_splat(EXP2, 8), c2 = v128.load32_splat(EXP2, 12);
  const c1 = v128.load32_splat(EXP2, 16), c0 = v128.load32_splat(EXP2, 20);
  let total = f32x4.splat(0), total2 = total, peak = total;
  for (let p = x; p < padded; p += 32, weights += 32) {
    const v = f32x4.pmax(lowest, f32x4.sub(v128.load(p), top));
    const v2 = f32x4.pmax(lowest, f32x4.sub(v128.load(p, 16), top));
    // The integer part stays in the low bits of `shifted`; moved to where exponents are, it doubles.
    const shifted = f32x4.add(v, round), shifted2 = f32x4.add(v2, round);
    const f = f32x4.sub(v, f32x4.sub(shifted, round));
    const f2 = f32x4.sub(v2, f32x4.sub(shifted2, round));
    let power = f32x4.add(f32x4.mul(c3, f), c2), power2 = f32x4.add(f32x4.mul(c3, f2), c2);
    power = f32x4.add(f32x4.mul(power, f), c1);
    power2 = f32x4.add(f32x4.mul(power2, f2), c1);
    power = i32x4.add(f32x4.add(f32x4.mul(power, f), c0), i32x4.shl(shifted, 23));
    power2 = i32x4.add(f32x4.add(f32x4.mul(power2, f2), c0), i32x4.shl(shifted2, 23));
    total = f32x4.add(total, power);
    total2 = f32x4.add(total2, power2);
    const weighed = f32x4.mul(power, v128.load(weights));
    const weighed2 = f32x4.mul(power2, v128.load(weights, 16));
    peak = f32x4.pmax(peak, f32x4.pmax(weighed, weighed2));
    v128.store(p, weighed);
    v128.store(p, weighed2, 16);
  }
  total = f32x4.add(total, total2);
  softmaxPeak = maxLanes(peak);
  return 1 / sumLanes(total);
}
