// What an export of the ABI returns: 0, or what was wrong. src/wasm.ts turns them into messages.

export const OK: i32 = 0;
/** The image does not begin with the magic number. */
export const BAD_MAGIC: i32 = 1;
/** The image has another version of the format. */
export const BAD_VERSION: i32 = 2;
/** A header field has a value that this engine cannot run; faultOffset() says which. */
export const BAD_HEADER: i32 = 3;
/** The image is shorter or longer than its header says it must be. */
export const BAD_SIZE: i32 = 4;
/** The bytes do not match the checksum. */
export const BAD_CHECKSUM: i32 = 5;
/** The memory could not grow as far as needed. */
export const OUT_OF_MEMORY: i32 = 6;
/** No image is loaded. */
export const NOT_LOADED: i32 = 7;
export const BAD_SEQUENCE: i32 = 8;
export const BAD_TOKEN: i32 = 9;
/** The position, or the last one of a batch, is not below maxSeqLen. */
export const BAD_POSITION: i32 = 10;
export const BAD_LAYER: i32 = 11;
export const BAD_EXIT: i32 = 12;
/** A batch has no token, or more than MAX_BATCH. */
export const BAD_BATCH: i32 = 13;
/** This build has no such kernel. */
export const BAD_KERNEL: i32 = 14;
