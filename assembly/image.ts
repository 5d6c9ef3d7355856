// The packed model image: what is where, and whether it can be trusted. docs/model-format.md says
// the same in words. Little-endian. A header of 256 bytes, then tensors in the order of use, each
// at a multiple of 64 bytes. No offset is stored: all follow from the header, so none can lie.

import { BAD_CHECKSUM, BAD_HEADER, BAD_MAGIC, BAD_SIZE, BAD_VERSION, OK } from "./status";
import { ternarySize } from "./matmul";
import { xxh32 } from "./xxh32";

export const HEADER_SIZE: u32 = 256;
const MAGIC: u64 = 0x0050494b53544942; // "BITSKIP\0"
const VERSION: u32 = 2;

// Byte offsets of the header's fields, all u32 where not said otherwise.
const AT_VERSION: u32 = 8;
/** Bytes of the whole image. */
const AT_SIZE: u32 = 12;
/** XXH32, seed 0, of all bytes from AT_DIM on. */
const AT_CHECKSUM: u32 = 16;
const AT_DIM: u32 = 20;
const AT_HIDDEN_DIM: u32 = 24;
const AT_N_LAYERS: u32 = 28;
const AT_N_HEADS: u32 = 32;
const AT_N_KV_HEADS: u32 = 36;
const AT_VOCAB_SIZE: u32 = 40;
const AT_MAX_SEQ_LEN: u32 = 44;
/** 0: ternary matrices and an int7 embedding. 1: all f32. */
const AT_WEIGHT_TYPE: u32 = 48;
/** 8 or 4; 32 where activations stay f32, which f32 weights need and ternary ones exclude. */
const AT_ACTIVATION_BITS: u32 = 52;
/** Inputs to transform, a sum of the HADAMARD_ values. */
const AT_HADAMARD: u32 = 56;
/** f32 */
const AT_NORM_EPS: u32 = 60;
/** f32 */
const AT_ROPE_THETA: u32 = 64;
const AT_BOS: u32 = 68;
const AT_EOS: u32 = 72;
const AT_N_EXITS: u32 = 76;
/** MAX_EXITS depths, ascending, the last of them nLayers; zeros behind. */
const AT_EXITS: u32 = 80;
/** Hidden units of a gate, a multiple of 32; 0 where there are no gates. */
const AT_GATE_DIM: u32 = 208;

export const MAX_EXITS: u32 = 32;
export const HADAMARD_QKV: u32 = 1;
export const HADAMARD_O: u32 = 2;
export const HADAMARD_GATE_UP: u32 = 4;
export const HADAMARD_DOWN: u32 = 8;

// Limits keep every size below 2^63 and every shape one that the kernels take.
const MAX_DIM: u32 = 1 << 14;
const MAX_HIDDEN_DIM: u32 = 1 << 16;
const MAX_LAYERS: u32 = 1 << 10;
const MAX_VOCAB: u32 = 1 << 20;
const MAX_SEQ_LEN: u32 = 1 << 16;
const MAX_GATE_DIM: u32 = 1 << 10;

export let dim: u32 = 0;
export let hiddenDim: u32 = 0;
export let nLayers: u32 = 0;
export let nHeads: u32 = 0;
export let nKvHeads: u32 = 0;
export let headDim: u32 = 0;
export let kvDim: u32 = 0;
export let vocabSize: u32 = 0;
/** vocabSize rounded up to a tile of 32 rows. */
export let vocabRows: u32 = 0;
export let maxSeqLen: u32 = 0;
export let isTernary: bool = false;
/** Of a quantised activation: 127 or 7. */
export let levels: f32 = 0;
export let hadamardMask: u32 = 0;
export let normEps: f32 = 0;
export let ropeTheta: f32 = 0;
export let nExits: u32 = 0;
export let gateDim: u32 = 0;

// Addresses and strides, in the order of the image.
export let embedding: usize = 0;
/** f32[vocabRows]; ternary models only. */
export let embeddingScales: usize = 0;
let layers: usize = 0;
let exits: usize = 0;
let layerSize: usize = 0;
let exitSize: usize = 0;

// Inside a layer, from its start.
/** f32[16]: of wq, wk, wv, wo, gate, up, down; the rest is 0. */
export let layerScales: usize = 0;
export let attnNorm: usize = 0;
/** Rows of wq, wk and wv, one below the other. */
export let wqkv: usize = 0;
export let attnSubNorm: usize = 0;
export let wo: usize = 0;
export let ffnNorm: usize = 0;
/** Rows of w_gate, then of w_up. */
export let wGateUp: usize = 0;
export let ffnSubNorm: usize = 0;
export let wDown: usize = 0;

// Inside an exit.
export let exitNorm: usize = 0;
/** f32 (gateDim, dim); this and the rest of a gate are missing in the last exit. */
export let gateHidden: usize = 0;
/** f32 (gateDim) */
export let gateHiddenBias: usize = 0;
/** f32 (gateDim) */
export let gateOut: usize = 0;
/** One f32. */
export let gateOutBias: usize = 0;

/** Bytes that the image must have. */
let imageSize: u64 = 0;

/** The header field that was refused, as its offset in bytes. */
export let fault: u32 = 0;

// @ts-ignore: decorator
@inline
export function layerAt(i: u32): usize {
  return layers + i * layerSize;
}

// @ts-ignore: decorator
@inline
export function exitAt(i: u32): usize {
  return exits + i * exitSize;
}

// @ts-ignore: decorator
@inline
function align64(n: u64): u64 {
  return (n + 63) & ~63;
}

function matrixSize(rows: u32, columns: u32): u64 {
  return align64(isTernary ? ternarySize(rows, columns) : (<u64>rows * columns) << 2);
}

/**
 * Reads the header at `image`, at least HEADER_SIZE bytes, and lays the tensors out.
 * Returns a status; then `imageSize` is what the image must have.
 */
function readHeader(image: usize): i32 {
  if (load<u64>(image) != MAGIC) return BAD_MAGIC;
  if (load<u32>(image, AT_VERSION) != VERSION) return BAD_VERSION;
  dim = load<u32>(image, AT_DIM);
  hiddenDim = load<u32>(image, AT_HIDDEN_DIM);
  nLayers = load<u32>(image, AT_N_LAYERS);
  nHeads = load<u32>(image, AT_N_HEADS);
  nKvHeads = load<u32>(image, AT_N_KV_HEADS);
  vocabSize = load<u32>(image, AT_VOCAB_SIZE);
  maxSeqLen = load<u32>(image, AT_MAX_SEQ_LEN);
  hadamardMask = load<u32>(image, AT_HADAMARD);
  normEps = load<f32>(image, AT_NORM_EPS);
  ropeTheta = load<f32>(image, AT_ROPE_THETA);
  nExits = load<u32>(image, AT_N_EXITS);
  gateDim = load<u32>(image, AT_GATE_DIM);
  const weightType = load<u32>(image, AT_WEIGHT_TYPE);
  const activationBits = load<u32>(image, AT_ACTIVATION_BITS);

  fault = AT_DIM;
  if (dim - 1 >= MAX_DIM || dim & 63) return BAD_HEADER;
  fault = AT_HIDDEN_DIM;
  if (hiddenDim - 1 >= MAX_HIDDEN_DIM || hiddenDim & 63) return BAD_HEADER;
  fault = AT_N_LAYERS;
  if (nLayers - 1 >= MAX_LAYERS) return BAD_HEADER;
  fault = AT_N_HEADS;
  if (nHeads == 0 || dim % nHeads) return BAD_HEADER;
  headDim = dim / nHeads;
  if (headDim & 15) return BAD_HEADER;
  fault = AT_N_KV_HEADS;
  if (nKvHeads == 0 || nHeads % nKvHeads) return BAD_HEADER;
  kvDim = nKvHeads * headDim;
  if (kvDim & 31) return BAD_HEADER;
  fault = AT_VOCAB_SIZE;
  if (vocabSize - 1 >= MAX_VOCAB) return BAD_HEADER;
  vocabRows = (vocabSize + 31) & ~31;
  fault = AT_MAX_SEQ_LEN;
  if (maxSeqLen - 1 >= MAX_SEQ_LEN) return BAD_HEADER;
  fault = AT_WEIGHT_TYPE;
  if (weightType > 1) return BAD_HEADER;
  isTernary = weightType == 0;
  fault = AT_ACTIVATION_BITS;
  if (isTernary ? activationBits != 8 && activationBits != 4 : activationBits != 32) return BAD_HEADER;
  levels = activationBits == 4 ? 7 : 127;
  fault = AT_HADAMARD;
  if (hadamardMask > 15) return BAD_HEADER;
  if (hadamardMask & (HADAMARD_QKV | HADAMARD_O | HADAMARD_GATE_UP) && popcnt(dim) != 1) return BAD_HEADER;
  if (hadamardMask & HADAMARD_DOWN && popcnt(hiddenDim) != 1) return BAD_HEADER;
  fault = AT_NORM_EPS;
  if (!(normEps > 0 && normEps < 1)) return BAD_HEADER;
  fault = AT_ROPE_THETA;
  if (!(ropeTheta >= 1 && ropeTheta <= 1e9)) return BAD_HEADER;
  fault = AT_BOS;
  if (load<u32>(image, AT_BOS) >= vocabSize) return BAD_HEADER;
  fault = AT_EOS;
  if (load<u32>(image, AT_EOS) >= vocabSize) return BAD_HEADER;
  fault = AT_N_EXITS;
  if (nExits - 1 >= MAX_EXITS) return BAD_HEADER;
  fault = AT_EXITS;
  for (let i: u32 = 0, before: u32 = 0; i < nExits; i++) {
    const depth = load<u32>(image + (i << 2), AT_EXITS);
    if (depth <= before || depth > nLayers || (i + 1 == nExits && depth != nLayers)) return BAD_HEADER;
    before = depth;
  }
  fault = AT_GATE_DIM;
  if (gateDim > MAX_GATE_DIM || gateDim & 31) return BAD_HEADER;
  fault = 0;
  layOut(image);
  return OK;
}

/** Sets the addresses, the strides and `imageSize`. */
function layOut(image: usize): void {
  let at: u64 = 0;
  layerScales = 0;
  at = 64;
  attnNorm = <usize>at;
  at += align64(dim << 2);
  wqkv = <usize>at;
  at += matrixSize(dim + 2 * kvDim, dim);
  attnSubNorm = <usize>at;
  at += align64(dim << 2);
  wo = <usize>at;
  at += matrixSize(dim, dim);
  ffnNorm = <usize>at;
  at += align64(dim << 2);
  wGateUp = <usize>at;
  at += matrixSize(2 * hiddenDim, dim);
  ffnSubNorm = <usize>at;
  at += align64(hiddenDim << 2);
  wDown = <usize>at;
  at += matrixSize(dim, hiddenDim);
  layerSize = <usize>at;

  exitNorm = 0;
  const normSize = align64(dim << 2);
  gateHidden = <usize>normSize;
  gateHiddenBias = gateHidden + (<usize>gateDim * dim << 2);
  gateOut = gateHiddenBias + <usize>align64(gateDim << 2);
  gateOutBias = gateOut + <usize>align64(gateDim << 2);
  exitSize = gateDim ? gateOutBias + 64 : <usize>normSize;

  const embeddingSize = align64((<u64>vocabRows * dim) << (isTernary ? 0 : 2));
  const scalesSize: u64 = isTernary ? align64(vocabRows << 2) : 0;
  embedding = image + HEADER_SIZE;
  embeddingScales = embedding + <usize>embeddingSize;
  layers = embeddingScales + <usize>scalesSize;
  exits = layers + nLayers * layerSize;
  imageSize = HEADER_SIZE + embeddingSize + scalesSize + nLayers * at;
  imageSize += <u64>(nExits - 1) * exitSize + normSize;
}

/** Whether the image at `image`, of `size` bytes, is whole and can be run. */
export function verify(image: usize, size: u32): i32 {
  if (size < HEADER_SIZE) return BAD_SIZE;
  const status = readHeader(image);
  if (status != OK) return status;
  if (size != imageSize || load<u32>(image, AT_SIZE) != size) return BAD_SIZE;
  const checksum = xxh32(image + AT_DIM, size - AT_DIM);
  return load<u32>(image, AT_CHECKSUM) == checksum ? OK : BAD_CHECKSUM;
}
