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

/**
 * Fills the rotary table (Su et al., 2021): for each position a row of headDim / 2 cosines, then as
 * many sines, of position / theta^(2i / headDim).
 */
export function fillRope(table: usize, positions: u32, headDim: u32, theta: f64): void {
  const half = headDim >> 1;
  for (let i: u32 = 0; i < half; i++) {
    const frequency = Math.pow(theta, -(<f64>i) / <f64>half);
    for (let position: u32 = 0; position < positions; position++) {
      const angle = <f64>position * frequency;
      const p = table + (((<usize>position * headDim) + i) << 2);
      store<f32>(p, <f32>Math.cos(angle));
      store<f32>(p + (half << 2), <f32>Math.sin(angle));
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

/**
 * e^x for four x <= 0, relative error below 2e-7; 0 below -87. Cody-Waite reduction to
 * |r| <= ln(2) / 2, then the Taylor polynomial of degree 7 (remainder r^8 / 8! < 6e-9).
 */
// @ts-ignore: decorator
@inline
function exp4(x: v128): v128 {
  const k = f32x4.nearest(f32x4.mul(x, f32x4.splat(1.4426950408889634)));
  let r = f32x4.sub(x, f32x4.mul(k, f32x4.splat(0.693145751953125)));
  r = f32x4.sub(r, f32x4.mul(k, f32x4.splat(1.42860682030941723212e-6)));
  let p = f32x4.splat(<f32>(1.0 / 5040));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(<f32>(1.0 / 720)));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(<f32>(1.0 / 120)));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(<f32>(1.0 / 24)));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(<f32>(1.0 / 6)));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(0.5));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1));
  const power = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(k), i32x4.splat(127)), 23);
  return v128.and(f32x4.mul(p, power), f32x4.gt(x, f32x4.splat(-87)));
}

/** Of the last softmax(): the largest of what it left. */
export let softmaxPeak: f32 = 0;

/**
 * x[n] = e^(x - max(x)) * weights[n], for weights > 0; sets `softmaxPeak`; returns 1 / sum(e^(x -
 * max(x))), which the caller multiplies by when it has summed. Entries from n to the next multiple of
 * 16 become 0; there is room for them, and weights can be read that far.
 */
export function softmax(x: usize, weights: usize, n: usize): f32 {
  const padded = x + (((n + 15) & ~15) << 2);
  for (let p = x + (n << 2); p < padded; p += 4) store<f32>(p, -Infinity);
  let top = v128.load(x);
  for (let p = x + 16; p < padded; p += 16) top = f32x4.max(top, v128.load(p));
  top = f32x4.splat(maxLanes(top));
  let total = f32x4.splat(0), peak = total;
  for (let p = x; p < padded; p += 16, weights += 16) {
    const e = exp4(f32x4.sub(v128.load(p), top));
    const weighed = f32x4.mul(e, v128.load(weights));
    total = f32x4.add(total, e);
    peak = f32x4.max(peak, weighed);
    v128.store(p, weighed);
  }
  softmaxPeak = maxLanes(peak);
  return 1 / sumLanes(total);
}
