// The model's own computation: token -> embedding -> layers -> exit norm -> gate, head. One token
// at a time inside a batch; the names are llama2.c's. Every function here trusts its arguments:
// index.ts has checked them.

import { attention, cacheSize, storeKeyValue } from "./attention";
import { hadamard } from "./hadamard";
import * as image from "./image";
import { matvecF32, matvecInt7, matvecTernary, ternarySize } from "./matmul";
import { addTo, dot, fillRope, relu2Gate, rmsnorm, rope } from "./nn";
import * as activation from "./quantize";

/** Tokens that embed() and layer() take at once. */
export const MAX_BATCH: u32 = 32;

// Scratch, shared by all sequences: nothing in it outlives a token. All f32 but the first.
/** The quantised input of a matrix. */
let quantized: usize = 0;
/** f32[MAX_BATCH][dim], the residual stream. */
let hidden: usize = 0;
/** [max(dim, hiddenDim)] the input of a matrix, before it is quantised. */
let normed: usize = 0;
/** [dim + 2 * kvDim] */
let qkv: usize = 0;
/** [2 * hiddenDim], and what a block adds to the residual stream. */
let branch: usize = 0;
/** [maxSeqLen] */
let scores: usize = 0;
/** [maxSeqLen][headDim] */
let ropeTable: usize = 0;
/** [vocabRows] */
export let logits: usize = 0;

let caches: usize = 0;
let layerCacheSize: usize = 0;
let sequenceSize: usize = 0;


/**
 * Lays the state out from `start`, for so many sequences; returns its end, which may lie beyond the
 * memory. Sets nothing that could not be set again.
 */
export function layOutState(start: u64, sequences: u32): u64 {
  let at = start;
  const widest = max(image.dim, image.hiddenDim);
  quantized = <usize>at;
  at += align64(<u64>widest << 1);
  hidden = <usize>at;
  at += align64(<u64>MAX_BATCH * image.dim << 2);
  normed = <usize>at;
  at += align64(<u64>widest << 2);
  qkv = <usize>at;
  at += align64(<u64>(image.dim + 2 * image.kvDim) << 2);
  branch = <usize>at;
  at += align64(<u64>image.hiddenDim << 3);
  scores = <usize>at;
  at += align64(<u64>image.maxSeqLen << 2);
  ropeTable = <usize>at;
  at += align64(<u64>image.maxSeqLen * image.headDim << 2);
  logits = <usize>at;
  at += align64(<u64>image.vocabRows << 2);
  caches = <usize>at;
  const layerBytes = cacheSize(image.nKvHeads, image.maxSeqLen, image.headDim);
  layerCacheSize = <usize>layerBytes;
  sequenceSize = <usize>(layerBytes * image.nLayers);
  return at + layerBytes * image.nLayers * sequences;
}

// @ts-ignore: decorator
@inline
function align64(n: u64): u64 {
  return (n + 63) & ~63;
}

/** Fills the tables of the state, once it lies in memory. */
export function initState(): void {
  fillRope(ropeTable, image.maxSeqLen, image.headDim, image.ropeTheta);
}

/** Row `slot` of the residual stream = the embedding of `token`. */
export function embed(slot: u32, token: u32): void {
  const columns = image.dim;
  let h = hidden + slot * (columns << 2);
  const tile = token >> 5, row = token & 31;
  if (image.isTernary) {
    const scale = f32x4.splat(load<f32>(image.embeddingScales + (token << 2)));
    let w = image.embedding + (tile * columns << 5) + (row << 2);
    for (const end = h + (columns << 2); h < end; h += 16, w += 128) {
      const bytes = v128.load32_zero(w);
      const codes = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(bytes));
      v128.store(h, f32x4.mul(f32x4.convert_i32x4_s(i32x4.sub(codes, i32x4.splat(64))), scale));
    }
  } else {
    let w = image.embedding + (tile * columns << 7) + (row << 2);
    for (const end = h + (columns << 2); h < end; h += 4, w += 128) {
      store<f32>(h, load<f32>(w));
    }
  }
}

/** Runs layer `l` for the token at `position`, whose residual stream is row `slot`. */
export function layer(sequence: u32, l: u32, slot: u32, position: u32): void {
  const dim = image.dim, kvDim = image.kvDim, hiddenDim = image.hiddenDim, headDim = image.headDim;
  const at = image.layerAt(l), scales = at + image.layerScales;
  const h = hidden + slot * (dim << 2);
  const cache = caches + sequence * sequenceSize + l * layerCacheSize;
  const q = qkv, k = q + (dim << 2), v = k + (kvDim << 2);

  prepare(h, at + image.attnNorm, dim, image.HADAMARD_QKV);
  let w = matrix(q, at + image.wqkv, dim, dim, scales);
  w = matrix(k, w, kvDim, dim, scales + 4);
  matrix(v, w, kvDim, dim, scales + 8);
  const row = ropeTable + (position * headDim << 2);
  rope(q, row, image.nHeads + image.nKvHeads, headDim);
  storeKeyValue(cache, k, v, position, image.nKvHeads, image.maxSeqLen, headDim);
  attention(
    branch, q, cache, scores,
    position + 1, image.nHeads, image.nKvHeads, image.maxSeqLen, headDim,
  );
  prepare(branch, at + image.attnSubNorm, dim, image.HADAMARD_O);
  matrix(branch, at + image.wo, dim, dim, scales + 12);
  addTo(h, branch, dim);

  prepare(h, at + image.ffnNorm, dim, image.HADAMARD_GATE_UP);
  const up = branch + (hiddenDim << 2);
  w = matrix(branch, at + image.wGateUp, hiddenDim, dim, scales + 16);
  matrix(up, w, hiddenDim, dim, scales + 20);
  relu2Gate(branch, branch, up, hiddenDim);
  prepare(branch, at + image.ffnSubNorm, hiddenDim, image.HADAMARD_DOWN);
  matrix(branch, at + image.wDown, dim, hiddenDim, scales + 24);
  addTo(h, branch, dim);
}

/** Makes x[n] the input of a matrix: normed, transformed where the model wants it, quantised. */
function prepare(x: usize, gain: usize, n: u32, place: u32): void {
  rmsnorm(normed, x, gain, n, image.normEps);
  if (image.hadamardMask & place) hadamard(normed, n);
  if (image.isTernary) activation.quantize(quantized, normed, n, image.levels);
}

/** y[rows] = W times the prepared input. Returns the address behind W. */
function matrix(y: usize, w: usize, rows: u32, columns: u32, scale: usize): usize {
  if (!image.isTernary) {
    matvecF32(y, w, normed, rows, columns);
    return w + (rows * columns << 2);
  }
  const s = load<f32>(scale) * activation.inverseScale;
  matvecTernary(y, w, quantized, rows, columns, activation.sum, s);
  return w + <usize>ternarySize(rows, columns);
}

/** Norms row `slot` for exit number `exit`, and returns the gate's logit. */
export function gate(exit: u32, slot: u32): f32 {
  const at = image.exitAt(exit), n = image.dim;
  rmsnorm(normed, hidden + slot * (n << 2), at + image.exitNorm, n, image.normEps);
  return dot(normed, at + image.gateWeight, n) + load<f32>(at + image.gateBias);
}

/** logits[vocabRows] of row `slot` at exit number `exit`. */
export function head(exit: u32, slot: u32): void {
  const n = image.dim;
  rmsnorm(normed, hidden + slot * (n << 2), image.exitAt(exit) + image.exitNorm, n, image.normEps);
  if (image.isTernary) {
    activation.quantize(quantized, normed, n, 127);
    matvecInt7(
      logits, image.embedding, image.embeddingScales, quantized,
      image.vocabRows, n, activation.sum, activation.inverseScale,
    );
  } else {
    matvecF32(logits, image.embedding, normed, image.vocabRows, n);
  }
}
