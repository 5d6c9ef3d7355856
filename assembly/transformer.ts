// The model's own computation: token -> embedding -> layers -> exit norm -> gate, head. The names are
// llama2.c's. Every function here trusts its arguments: index.ts has checked them.

import * as int7 from "./attention";
import * as f32attention from "./attention_f32";
import { hadamard } from "./hadamard";
import * as image from "./image";
import { matmulInt7, matmulTernary, matvecF32, ternarySize } from "./matmul";
import { addTo, dotRelu, fillRope, rope } from "./nn";
import { absmax, norm, normGated, peak, quantize, quantizedSize } from "./quantize";

/** Tokens that embed() and layer() take at once. */
export const MAX_BATCH: u32 = 32;

// Scratch, shared by all sequences: nothing in it outlives a call, but for `hidden`. A row is a
// token's; sizes are in bytes.
/** [MAX_BATCH] inputs of a matrix, quantised; with f32 weights, f32 behind 16 bytes with 1 / rms. */
let inputs: usize = 0;
let inputSize: usize = 0;
/** f32 [MAX_BATCH][dim], the residual stream. */
export let hidden: usize = 0;
/** f32 [max(dim, hiddenDim)] before it is quantised. */
let normed: usize = 0;
/** f32 [MAX_BATCH][branchSize]: q, k and v; gate and up; or what a block adds to `hidden`. */
let branch: usize = 0;
let branchSize: usize = 0;
/** f32 [dim + 16] */
let attended: usize = 0;
let attentionScratch: usize = 0;
/** f32 [maxSeqLen][headDim] */
let ropeTable: usize = 0;
/** f32 [vocabRows] */
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
  const dim = image.dim, widest = max(dim, image.hiddenDim);
  inputSize = <usize>align64(INPUT_F32 + (<u64>widest << 2));
  branchSize = <usize>align64(<u64>max(dim + 2 * image.kvDim, 2 * image.hiddenDim) << 2);
  inputs = <usize>at;
  at += <u64>MAX_BATCH * inputSize;
  hidden = <usize>at;
  at += align64(<u64>MAX_BATCH * dim << 2);
  normed = <usize>at;
  at += align64(<u64>widest << 2);
  branch = <usize>at;
  at += <u64>MAX_BATCH * branchSize;
  attended = <usize>at;
  at += align64((<u64>dim + 16) << 2);
  attentionScratch = <usize>at;
  at += align64(
    image.isTernary
      ? int7.scratchSize(image.nHeads / image.nKvHeads, image.maxSeqLen, image.headDim)
      : f32attention.scratchSize(image.maxSeqLen),
  );
  ropeTable = <usize>at;
  at += align64(<u64>image.maxSeqLen * image.headDim << 2);
  logits = <usize>at;
  at += align64(<u64>image.vocabRows << 2);
  caches = <usize>at;
  const layerBytes = align64(
    image.isTernary
      ? int7.cacheSize(image.nKvHeads, image.maxSeqLen, image.headDim)
      : f32attention.cacheSize(image.nKvHeads, image.maxSeqLen, image.headDim),
  );
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
  let h = hiddenRow(slot);
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

/** Runs layer `l` for the tokens at `position` and on, rows 0 to count - 1 of the residual stream. */
export function layer(sequence: usize, l: u32, position: usize, count: usize): void {
  const dim: usize = image.dim, hiddenDim: usize = image.hiddenDim;
  const headDim: usize = image.headDim, heads: usize = image.nHeads, kvHeads: usize = image.nKvHeads;
  const at = image.layerAt(l), scales = at + image.layerScales;
  const cache = cacheOf(sequence, l);
  const kAt = dim << 2, upAt = hiddenDim << 2;

  for (let i: usize = 0; i < count; i++) {
    prepare(i, hiddenRow(i), at + image.attnNorm, dim, image.HADAMARD_QKV);
  }
  const wk = matmul(branch, at + image.wqkv, dim, dim, count, scales);
  for (let i: usize = 0; i < count; i++) {
    rope(branch + i * branchSize, ropeTable + ((position + i) * headDim << 2), heads, headDim);
  }
  projectKeyValue(cache, branch + kAt, wk, scales, position, count);
  for (let i: usize = 0; i < count; i++) {
    const q = branch + i * branchSize, seen = position + i + 1;
    if (image.isTernary) {
      int7.attention(
        attended, q, cache, attentionScratch, seen, heads, kvHeads, image.maxSeqLen, headDim,
      );
    } else {
      f32attention.attention(
        attended, q, cache, attentionScratch, seen, heads, kvHeads, image.maxSeqLen, headDim,
      );
    }
    prepare(i, attended, at + image.attnSubNorm, dim, image.HADAMARD_O);
  }
  matmul(branch, at + image.wo, dim, dim, count, scales + 12);

  for (let i: usize = 0; i < count; i++) {
    const h = hiddenRow(i);
    addTo(h, branch + i * branchSize, dim);
    prepare(i, h, at + image.ffnNorm, dim, image.HADAMARD_GATE_UP);
  }
  const wUp = matmul(branch, at + image.wGateUp, hiddenDim, dim, count, scales + 16);
  matmul(branch + upAt, wUp, hiddenDim, dim, count, scales + 20);
  for (let i: usize = 0; i < count; i++) {
    const gate = branch + i * branchSize, gain = at + image.ffnSubNorm;
    const inverseRms = normGated(normed, gate, gate + upAt, gain, hiddenDim, image.normEps);
    setInput(i, hiddenDim, image.HADAMARD_DOWN, inverseRms);
  }
  matmul(branch, at + image.wDown, dim, hiddenDim, count, scales + 24);
  for (let i: usize = 0; i < count; i++) addTo(hiddenRow(i), branch + i * branchSize, dim);
}

/**
 * Only the keys and values of layer `l`, from the residual stream as it is: for tokens that left the
 * model before this layer, so that later ones that do not leave have something to attend to.
 */
export function keyValue(sequence: usize, l: u32, position: usize, count: usize): void {
  const dim: usize = image.dim, at = image.layerAt(l);
  for (let i: usize = 0; i < count; i++) {
    prepare(i, hiddenRow(i), at + image.attnNorm, dim, image.HADAMARD_QKV);
  }
  const wk = at + image.wqkv + matrixSize(dim, dim);
  projectKeyValue(cacheOf(sequence, l), branch, wk, at + image.layerScales, position, count);
}

/** Keys and values of inputs 0 to count - 1 to the cache, by way of rows at `kv`; wv lies behind wk. */
function projectKeyValue(
  cache: usize, kv: usize, wk: usize, scales: usize, position: usize, count: usize,
): void {
  const dim: usize = image.dim, kvDim: usize = image.kvDim, vAt = kvDim << 2;
  const headDim: usize = image.headDim, kvHeads: usize = image.nKvHeads;
  const wv = matmul(kv, wk, kvDim, dim, count, scales + 4);
  matmul(kv + vAt, wv, kvDim, dim, count, scales + 8);
  for (let i: usize = 0; i < count; i++) {
    const k = kv + i * branchSize, at = position + i;
    rope(k, ropeTable + (at * headDim << 2), kvHeads, headDim);
    if (image.isTernary) {
      int7.storeKeyValue(cache, k, k + vAt, at, kvHeads, image.maxSeqLen, headDim);
    } else {
      f32attention.storeKeyValue(cache, k, k + vAt, at, kvHeads, image.maxSeqLen, headDim);
    }
  }
}

// @ts-ignore: decorator
@inline
function cacheOf(sequence: usize, l: u32): usize {
  return caches + sequence * sequenceSize + l * layerCacheSize;
}

// @ts-ignore: decorator
@inline
function hiddenRow(slot: usize): usize {
  return hidden + slot * (image.dim << 2);
}

/** Input i = x[n] normed, transformed where the model wants it, quantised. */
function prepare(i: usize, x: usize, gain: usize, n: usize, place: u32): void {
  setInput(i, n, place, norm(normed, x, gain, n, image.normEps));
}

/** Input i = `normed`, of which norm() has just left n floats and the peak, times inverseRms. */
function setInput(i: usize, n: usize, place: u32, inverseRms: f32): void {
  const input = inputs + i * inputSize;
  let range = peak;
  if (image.hadamardMask & place) {
    hadamard(normed, n);
    range = absmax(normed, n);
  }
  if (image.isTernary) {
    quantize(input, normed, n, image.levels, range, inverseRms);
  } else {
    store<f32>(input, inverseRms);
    memory.copy(input + INPUT_F32, normed, n << 2);
  }
}

/** Bytes before an f32 input. */
const INPUT_F32: usize = 16;

/** Rows of y, `branchSize` apart, = W times inputs 0 to count - 1. Returns the address behind W. */
function matmul(y: usize, w: usize, rows: usize, columns: usize, count: usize, scale: usize): usize {
  if (image.isTernary) {
    matmulTernary(
      y, branchSize, w, inputs, inputSize, rows, columns, count, load<f32>(scale),
    );
  } else {
    for (let i: usize = 0, x = inputs; i < count; i++, x += inputSize) {
      matvecF32(y + i * branchSize, w, x + INPUT_F32, rows, columns, load<f32>(x));
    }
  }
  return w + matrixSize(rows, columns);
}

// @ts-ignore: decorator
@inline
function matrixSize(rows: usize, columns: usize): usize {
  return image.isTernary ? <usize>ternarySize(<u32>rows, <u32>columns) : rows * columns << 2;
}

/** The gate's logit of row `slot` at exit number `exit`. Weights that make none keep the gate shut. */
export function gate(exit: u32, slot: u32): f32 {
  const at = image.exitAt(exit), n: usize = image.dim;
  const inverseRms = norm(normed, hiddenRow(slot), at + image.exitNorm, n, image.normEps);
  const units = branch, nUnits: usize = image.gateDim;
  matvecF32(units, at + image.gateHidden, normed, nUnits, n, inverseRms);
  addTo(units, at + image.gateHiddenBias, nUnits);
  const logit = dotRelu(units, at + image.gateOut, nUnits) + load<f32>(at + image.gateOutBias);
  return logit == logit ? logit : -Infinity;
}

/** logits[vocabRows] of row `slot` at exit number `exit`. */
export function head(exit: u32, slot: u32): void {
  const n: usize = image.dim, gain = image.exitAt(exit) + image.exitNorm;
  const inverseRms = norm(normed, hiddenRow(slot), gain, n, image.normEps);
  if (image.isTernary) {
    quantize(inputs, normed, n, 127, peak, inverseRms);
    matmulInt7(
      logits, 0, image.embedding, image.embeddingScales, inputs, 0, image.vocabRows, n, 1, 1,
    );
  } else {
    matvecF32(logits, image.embedding, normed, image.vocabRows, n, inverseRms);
  }
}
