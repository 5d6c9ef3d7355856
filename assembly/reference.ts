// Not shipped: each kernel written plainly, one number at a time. Integers come out the same by
// nature; floats do because sums run over the same lanes in the same order, which is stated where
// it is not first to last.

import { ACTIVATION_BYTES } from "./quantize";

const f = sizeof<f32>();
/** Eight running sums. */
const LANES: usize = memory.data(32, 16);

// @ts-ignore: decorator
@inline
function at(x: usize, i: u32): f32 {
  return load<f32>(x + i * f);
}

/** Activation i of a quantised vector, in either build's form. */
export function activationAt(q: usize, i: u32): i32 {
  if (ACTIVATION_BYTES == 1) return <i32>load<i8>(q + i);
  const slot = (i & ~3) + ((i & 1) << 1 | (i & 2) >> 1);
  return <i32>load<i16>(q + (slot << 1));
}

/** The weight, in {-1, 0, 1} for codes that are valid, at a place of a ternary matrix. */
export function ternaryAt(w: usize, row: u32, column: u32, columns: u32): i32 {
  const r = row & 31, tile = (row >> 5) * (columns >> 2) + (column >> 2);
  const byte = <u32>load<u8>(w + tile * 32 + (r >> 4) * 16 + (r & 3) * 4 + (column & 3));
  return <i32>((byte >> (2 * ((r >> 2) & 3))) & 3) - 1;
}

export function int7At(w: usize, row: u32, column: u32, columns: u32): i32 {
  const tile = (row >> 5) * (columns >> 2) + (column >> 2);
  return <i32>load<u8>(w + tile * 128 + (row & 31) * 4 + (column & 3)) - 64;
}

export function matvecTernaryReference(
  y: usize, w: usize, x: usize, rows: u32, columns: u32, scale: f32,
): void {
  for (let row: u32 = 0; row < rows; row++) {
    let sum: i32 = 0;
    for (let c: u32 = 0; c < columns; c++) {
      sum += ternaryAt(w, row, c, columns) * activationAt(x, c);
    }
    store<f32>(y + row * f, <f32>sum * scale);
  }
}

export function matvecInt7Reference(
  y: usize, w: usize, scales: usize, x: usize, rows: u32, columns: u32, scale: f32,
): void {
  for (let row: u32 = 0; row < rows; row++) {
    let sum: i32 = 0;
    for (let c: u32 = 0; c < columns; c++) {
      sum += int7At(w, row, c, columns) * activationAt(x, c);
    }
    store<f32>(y + row * f, <f32>sum * (scale * at(scales, row)));
  }
}

export function matvecF32Reference(y: usize, w: usize, x: usize, rows: u32, columns: u32): void {
  for (let row: u32 = 0; row < rows; row++) {
    let sum: f32 = 0;
    for (let c: u32 = 0; c < columns; c++) {
      sum += at(x, c) * at(w, ((row >> 5) * columns + c) * 32 + (row & 31));
    }
    store<f32>(y + row * f, sum);
  }
}

export let referenceScale: f32 = 0;
export let referenceSum: i32 = 0;

/** q as n int32. */
export function quantizeReference(q: usize, x: usize, n: u32, levels: f32): void {
  let absmax: f32 = 1e-5;
  for (let i: u32 = 0; i < n; i++) absmax = max(absmax, abs(at(x, i)));
  const scale = levels / absmax;
  referenceSum = 0;
  for (let i: u32 = 0; i < n; i++) {
    const code = <i32>nearest(at(x, i) * scale);
    store<i32>(q + i * 4, code);
    referenceSum += code;
  }
  referenceScale = absmax / levels;
}

export function hadamardReference(x: usize, n: u32): void {
  const scale = <f32>(1 / Math.sqrt(<f64>n));
  for (let i: u32 = 0; i < n; i++) store<f32>(x + i * f, at(x, i) * scale);
  for (let h: u32 = 1; h < n; h <<= 1) {
    for (let i: u32 = 0; i < n; i++) {
      if (i & h) continue;
      const a = at(x, i), b = at(x, i + h);
      store<f32>(x + i * f, a + b);
      store<f32>(x + (i + h) * f, a - b);
    }
  }
}

/** Eight running sums, one for each i % 8, then (s0+s4 + s2+s6) + (s1+s5 + s3+s7). */
export function dotReference(x: usize, y: usize, n: u32): f32 {
  for (let lane: u32 = 0; lane < 8; lane++) store<f32>(LANES + lane * f, 0);
  for (let i: u32 = 0; i < n; i++) {
    const lane = LANES + (i & 7) * f;
    store<f32>(lane, load<f32>(lane) + at(x, i) * at(y, i));
  }
  const s = LANES;
  return at(s, 0) + at(s, 4) + (at(s, 2) + at(s, 6)) + (at(s, 1) + at(s, 5) + (at(s, 3) + at(s, 7)));
}

export function rmsnormReference(y: usize, x: usize, gain: usize, n: u32, eps: f32): void {
  const scale: f32 = 1 / sqrt<f32>(dotReference(x, x, n) / <f32>n + eps);
  for (let i: u32 = 0; i < n; i++) store<f32>(y + i * f, at(x, i) * scale * at(gain, i));
}

export function relu2GateReference(y: usize, gate: usize, up: usize, n: u32): void {
  for (let i: u32 = 0; i < n; i++) {
    const g = max<f32>(at(gate, i), 0);
    store<f32>(y + i * f, g * g * at(up, i));
  }
}

export function ropeReference(x: usize, row: usize, heads: u32, headDim: u32): void {
  const half = headDim >> 1;
  for (let head: u32 = 0; head < heads; head++, x += headDim * f) {
    for (let i: u32 = 0; i < half; i++) {
      const a = at(x, i), b = at(x, half + i), cos = at(row, i), sin = at(row, half + i);
      store<f32>(x + i * f, a * cos - b * sin);
      store<f32>(x + (half + i) * f, b * cos + a * sin);
    }
  }
}

/** Softmax by f64 exp; the shipped one is within its stated error of this, not bit-equal. */
export function softmaxReference(y: usize, x: usize, n: u32): void {
  let peak: f32 = -Infinity;
  for (let i: u32 = 0; i < n; i++) peak = max(peak, at(x, i));
  let total: f64 = 0;
  for (let i: u32 = 0; i < n; i++) total += Math.exp(at(x, i) - peak);
  for (let i: u32 = 0; i < n; i++) {
    store<f32>(y + i * f, <f32>(Math.exp(at(x, i) - peak) / total));
  }
}

/** One head, by softmaxReference; keys and values are (count, headDim). */
export function attentionReference(
  y: usize, q: usize, keys: usize, values: usize, scores: usize, count: u32, headDim: u32,
): void {
  const scale: f32 = 1 / sqrt<f32>(<f32>headDim);
  for (let i: u32 = 0; i < count; i++) {
    store<f32>(scores + i * f, dotReference(q, keys + i * headDim * f, headDim) * scale);
  }
  softmaxReference(scores, scores, count);
  for (let j: u32 = 0; j < headDim; j++) {
    let sum: f64 = 0;
    for (let i: u32 = 0; i < count; i++) sum += at(scores, i) * at(values, i * headDim + j);
    store<f32>(y + j * f, <f32>sum);
  }
}
