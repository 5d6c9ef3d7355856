// The ABI: all that the module exports, beside its memory. docs/abi.md says how a host uses it.
// Numbers and addresses only, no imports. No argument is trusted: a wrong one gets a status.

import * as image from "./image";
import * as matmul from "./matmul";
import * as status from "./status";
import * as transformer from "./transformer";

/** Raised with every change that a host could notice. */
const ABI_VERSION: u32 = 3;
const MAX_SEQUENCES: u32 = 1 << 12;

let imageStart: usize = 0;
let reserved: u32 = 0;
let nSequences: u32 = 0;
let loaded: bool = false;

export function abiVersion(): u32 {
  return ABI_VERSION;
}

/**
 * Makes room for an image of so many bytes and returns its address, where the host is to copy it;
 * 0 where the memory cannot grow so far. Whatever was loaded is gone.
 */
export function reserveImage(size: u32): usize {
  loaded = false;
  reserved = 0;
  imageStart = (__heap_base + 63) & ~63;
  if (!grow(<u64>imageStart + size)) return 0;
  reserved = size;
  return imageStart;
}

/**
 * Verifies the image in the reserved room and lays out the state of `sequences` sequences behind
 * it. Returns a status. After OK the memory does not grow again.
 */
export function loadImage(sequences: u32): i32 {
  loaded = false;
  if (sequences - 1 >= MAX_SEQUENCES) return status.BAD_SEQUENCE;
  const result = image.verify(imageStart, reserved);
  if (result != status.OK) return result;
  const end = transformer.layOutState((<u64>imageStart + reserved + 63) & ~63, sequences);
  if (!grow(end)) return status.OUT_OF_MEMORY;
  transformer.initState();
  nSequences = sequences;
  loaded = true;
  return status.OK;
}

/**
 * Chooses the kernel of the matrix products: 0 strict, in the strict build; 1 dot8, the default, or 2
 * dot16, in the relaxed build. They give the same bits. Returns a status.
 */
export function setKernel(kernel: u32): i32 {
  return matmul.setKernel(kernel) ? status.OK : status.BAD_KERNEL;
}

/** The byte offset of the header field that BAD_HEADER complains of. */
export function faultOffset(): u32 {
  return image.fault;
}

/** Tokens that embed() and layer() take at once. */
export function maxBatch(): u32 {
  return transformer.MAX_BATCH;
}

/**
 * The address of the batch's rows, f32 (maxBatch, dim): a host may keep a row whose token left the model
 * and put it back, to run deeper layers later.
 */
export function hidden(): usize {
  return transformer.hidden;
}

/** The address of vocabSize f32, which head() writes. */
export function logits(): usize {
  return transformer.logits;
}

/** Row `slot` of the batch = the embedding of `token`. Returns a status. */
export function embed(slot: u32, token: u32): i32 {
  if (!loaded) return status.NOT_LOADED;
  if (slot >= transformer.MAX_BATCH) return status.BAD_BATCH;
  if (token >= image.vocabSize) return status.BAD_TOKEN;
  transformer.embed(slot, token);
  return status.OK;
}

/**
 * Runs layer `l` of a sequence for the `count` tokens at `position` and on, whose rows are 0 to
 * count - 1, and stores their keys and values. Returns a status.
 */
export function layer(sequence: u32, l: u32, position: u32, count: u32): i32 {
  const result = checkTokens(sequence, l, position, count);
  if (result == status.OK) transformer.layer(sequence, l, position, count);
  return result;
}

/**
 * Stores keys and values of layer `l` as `layer` does, from rows that stay as they are: for tokens that
 * have left the model before it. Returns a status.
 */
export function keyValue(sequence: u32, l: u32, position: u32, count: u32): i32 {
  const result = checkTokens(sequence, l, position, count);
  if (result == status.OK) transformer.keyValue(sequence, l, position, count);
  return result;
}

function checkTokens(sequence: u32, l: u32, position: u32, count: u32): i32 {
  if (!loaded) return status.NOT_LOADED;
  if (sequence >= nSequences) return status.BAD_SEQUENCE;
  if (l >= image.nLayers) return status.BAD_LAYER;
  if (count - 1 >= transformer.MAX_BATCH) return status.BAD_BATCH;
  if (position >= image.maxSeqLen || count > image.maxSeqLen - position) return status.BAD_POSITION;
  return status.OK;
}

/**
 * The logit of how far the next token's probabilities at exit number `exit` (0 is the shallowest)
 * overlap the last layer's, as the model foretells it, for row `slot`; NaN where an argument is wrong:
 * the last exit has no gate, and a model may have none at all.
 */
export function gate(exit: u32, slot: u32): f32 {
  if (!loaded || exit >= image.nExits - 1 || image.gateDim == 0) return NaN;
  if (slot >= transformer.MAX_BATCH) return NaN;
  return transformer.gate(exit, slot);
}

/** Writes the logits of row `slot` at exit number `exit`. Returns a status. */
export function head(exit: u32, slot: u32): i32 {
  if (!loaded) return status.NOT_LOADED;
  if (exit >= image.nExits) return status.BAD_EXIT;
  if (slot >= transformer.MAX_BATCH) return status.BAD_BATCH;
  transformer.head(exit, slot);
  return status.OK;
}

/** Grows the memory to `bytes`, if need be. */
function grow(bytes: u64): bool {
  const pages = (bytes + 0xffff) >> 16;
  if (pages > 0xffff) return false;
  const missing = <i32>pages - memory.size();
  return missing <= 0 || memory.grow(missing) >= 0;
}
