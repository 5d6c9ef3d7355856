// Not shipped: each kernel written plainly, one number at a time, to be equal bit for bit. Integers
// come out the same by nature; floats do because sums run over the same lanes in the same order,
// which is said where it is not first to last.

import { INVERSE_SCALE, SUM, TOKEN_SIZE } from "./quantize";
import { RELAXED } from "./tile";

const f = sizeof<f32>();
/** Sums for each i % 8. */
const LANES: usize = memory.data(32, 16);

// @ts-ignore: decorator
@inline
function at(x: usize, i: usize): f32 {
  return load<f32>(x + i * f);
}

/** Activation i of a quantised token, in either build's form. */
export function activationAt(q: usize, i: usize): i32 {
  if (RELAXED) return <i32>load<i8>(q + TOKEN_SIZE + i);
  const slot = (i & ~3) + (((i & 1) << 1) | ((i & 2) >> 1));
  return <i32>load<i16>(q + TOKEN_SIZE + (slot << 1));
}

/** The weight, in {-1, 0, 1} for codes that are valid, at a place of a ternary matrix. */
export function ternaryAt(w: usize, row: usize, column: usize, columns: usize): i32 {
  const r = row & 31, tile = (row >> 5) * (columns >> 2) + (column >> 2);
  const byte = <usize>load<u8>(w + tile * 32 + (r >> 4) * 16 + (r & 3) * 4 + (column & 3));
  return <i32>((byte >> (2 * ((r >> 2) & 3))) & 3) - 1;
}

export function int7At(w: usize, row: usize, column: usize, columns: usize): i32 {
  const tile = (row >> 5) * (columns >> 2) + (column >> 2);
  return <i32>load<u8>(w + tile * 128 + (row & 31) * 4 + (column & 3)) - 64;
}

export function matmulTernaryReference(
  y: usize, yStride: usize, w: usize, x: usize, xStride: usize,
  rows: usize, columns: usize, count: usize, scale: f32,
): void {
  for (let i: usize = 0; i < count; i++, x += xStride, y += yStride) {
    for (let row: usize = 0; row < rows; row++) {
      let sum: i32 = 0;
      for (let c: usize = 0; c < columns; c++) {
        sum += ternaryAt(w, row, c, columns) * activationAt(x, c);
      }
      store<f32>(y + row * f, <f32>sum * (scale * load<f32>(x, INVERSE_SCALE)));
    }
  }
}

export function matmulInt7Reference(
  y: usize, yStride: usize, w: usize, scales: usize, x: usize, xStride: usize,
  rows: usize, columns: usize, count: usize, scale: f32,
): void {
  for (let i: usize = 0; i < count; i++, x += xStride, y += yStride) {
    const s = scale * load<f32>(x, INVERSE_SCALE);
    for (let row: usize = 0; row < rows; row++) {
      let sum: i32 = 0;
      for (let c: usize = 0; c < columns; c++) {
        sum += int7At(w, row, c, columns) * activationAt(x, c);
      }
      store<f32>(y + row * f, <f32>sum * (s * at(scales, row)));
    }
  }
}

export function matvecF32Reference(
  y: usize, w: usize, x: usize, rows: usize, columns: usize, scale: f32,
): void {
  for (let row: usize = 0; row < rows; row++) {
    let sum: f32 = 0;
    for (let c: usize = 0; c < columns; c++) {
      sum += at(x, c) * at(w, ((row >> 5) * columns + c) * 32 + (row & 31));
    }
    store<f32>(y + row * f, sum * scale);
  }
}

/** As quantize(), but the codes are n int32 behind the token's head. */
export function quantizeReference(
  q: usize, u: usize, n: usize, levels: f32, absmax: f32, factor: f32,
): void {
  const range = max<f32>(absmax, <f32>1e-5 / factor), scale = levels / range;
  let sum: i32 = 0;
  for (let i: usize = 0; i < n; i++) {
    const code = <i32>nearest<f32>(at(u, i) * scale);
    store<i32>(q + TOKEN_SIZE + i * 4, code);
    sum += code;
  }
  store<i32>(q, sum, SUM);
  store<f32>(q, (range * factor) / levels, INVERSE_SCALE);
}

export function absmaxReference(x: usize, n: usize): f32 {
  let m: f32 = 0;
  for (let i: usize = 0; i < n; i++) m = max<f32>(m, abs<f32>(at(x, i)));
  return m;
}

/** Eight running sums, one for each i % 8, then (s0+s4 + s2+s6) + (s1+s5 + s3+s7). */
export function dotReference(x: usize, y: usize, n: usize): f32 {
  memory.fill(LANES, 0, 32);
  for (let i: usize = 0; i < n; i++) addLane(i, at(x, i) * at(y, i));
  return sumOfLanes();
}

export function normReference(u: usize, x: usize, gain: usize, n: usize, eps: f32): f32 {
  const inverse: f32 = 1 / sqrt<f32>(dotReference(x, x, n) / <f32>n + eps);
  for (let i: usize = 0; i < n; i++) store<f32>(u + i * f, at(x, i) * at(gain, i));
  return inverse;
}

export function normGatedReference(
  u: usize, gate: usize, up: usize, gain: usize, n: usize, eps: f32,
): f32 {
  for (let i: usize = 0; i < n; i++) {
    const g = max<f32>(at(gate, i), 0);
    store<f32>(u + i * f, g * g * at(up, i));
  }
  return normReference(u, u, gain, n, eps);
}

export function hadamardReference(x: usize, n: usize): void {
  const scale = <f32>(1 / Math.sqrt(<f64>n));
  for (let i: usize = 0; i < n; i++) store<f32>(x + i * f, at(x, i) * scale);
  for (let h: usize = 1; h < n; h <<= 1) {
    for (let i: usize = 0; i < n; i++) {
      if (i & h) continue;
      const a = at(x, i), b = at(x, i + h);
      store<f32>(x + i * f, a + b);
      store<f32>(x + (i + h) * f, a - b);
    }
  }
}

export function ropeReference(x: usize, row: usize, heads: usize, headDim: usize): void {
  const half = headDim >> 1;
  for (let head: usize = 0; head < heads; head++, x += headDim * f) {
    for (let i: usize = 0; i < half; i++) {
      const a = at(x, i), b = at(x, half + i), cos = at(row, i), sin = at(row, half + i);
      store<f32>(x + i * f, a * cos - b * sin);
      store<f32>(x + (half + i) * f, b * cos + a * sin);
    }
  }
}

/** What softmax() computes for 2^x, x <= 0. */
export function exp2Reference(x: f32): f32 {
  const v = max<f32>(-126, x), k = nearest<f32>(v), r = v - k;
  let p: f32 = <f32>0.05517166905792616 * r + <f32>0.2426111221932161;
  p = p * r + <f32>0.6932609854606553;
  p = p * r + <f32>0.9999280735394012;
  return reinterpret<f32>(reinterpret<i32>(p) + (<i32>k << 23));
}

/** Sums as dotReference(). */
export function softmaxReference(x: usize, weights: usize, n: usize): f32 {
  let top: f32 = -Infinity;
  for (let i: usize = 0; i < n; i++) top = max<f32>(top, at(x, i));
  memory.fill(LANES, 0, 32);
  for (let i: usize = 0; i < n; i++) {
    const e = exp2Reference(at(x, i) - top);
    addLane(i, e);
    store<f32>(x + i * f, e * at(weights, i));
  }
  return 1 / sumOfLanes();
}

function addLane(i: usize, value: f32): void {
  const lane = LANES + (i & 7) * f;
  store<f32>(lane, load<f32>(lane) + value);
}

function sumOfLanes(): f32 {
  const s = LANES;
  return at(s, 0) + at(s, 4) + (at(s, 2) + at(s, 6)) + (at(s, 1) + at(s, 5) + (at(s, 3) + at(s, 7)));
}

/** The code, in [-63, 63], of element i of a key or value of n. */
function keyValueCode(x: usize, i: usize, n: usize): i32 {
  const range = max<f32>(absmaxReference(x, n), 1e-5);
  return <i32>nearest<f32>(at(x, i) * (<f32>(63.0 * (1.0 - 1.0 / 65536.0)) / range));
}

/**
 * attention() for one head: keys and values are f32 (count, headDim), as they were given to
 * storeKeyValue(). Scratch: `scores` and `weights`, f32 (count) each, and for two quantised tokens
 * of int32.
 */
export function attentionReference(
  y: usize, q: usize, keys: usize, values: usize, scores: usize, weights: usize, codes: usize,
  count: usize, headDim: usize,
): void {
  const size = headDim * f, factor: f32 = <f32>1.4426950408889634 / sqrt<f32>(<f32>headDim);
  quantizeReference(codes, q, headDim, 127, absmaxReference(q, headDim), factor);
  for (let i: usize = 0; i < count; i++) {
    const key = keys + i * size, value = values + i * size;
    let sum: i32 = 0;
    for (let j: usize = 0; j < headDim; j++) {
      sum += load<i32>(codes + TOKEN_SIZE + j * 4) * keyValueCode(key, j, headDim);
    }
    const keyScale = max<f32>(absmaxReference(key, headDim), 1e-5) / 63;
    store<f32>(scores + i * f, <f32>sum * (load<f32>(codes, INVERSE_SCALE) * keyScale));
    store<f32>(weights + i * f, max<f32>(absmaxReference(value, headDim), 1e-5) / 63);
  }
  const inverse = softmaxReference(scores, weights, count);
  quantizeReference(codes, scores, count, 127, absmaxReference(scores, count), inverse);
  for (let j: usize = 0; j < headDim; j++) {
    let sum: i32 = 0;
    for (let i: usize = 0; i < count; i++) {
      sum += load<i32>(codes + TOKEN_SIZE + i * 4) * keyValueCode(values + i * size, j, headDim);
    }
    store<f32>(y + j * f, <f32>sum * load<f32>(codes, INVERSE_SCALE));
  }
}
