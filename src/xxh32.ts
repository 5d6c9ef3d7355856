/**
 * XXH32 with seed 0 (Collet, github.com/Cyan4973/xxHash, doc/xxhash_spec.md): what packing writes
 * and assembly/xxh32.ts checks.
 *
 * @module
 */

const P1 = 2654435761;
const P2 = 2246822519;
const P3 = 3266489917;
const P4 = 668265263;
const P5 = 374761393;

const rotate = (x: number, bits: number) => (x << bits) | (x >>> (32 - bits));

export function xxh32(bytes: Uint8Array): number {
	const { buffer, byteOffset, byteLength } = bytes;
	const view = new DataView(buffer, byteOffset, byteLength);
	let at = 0;
	let hash = P5;
	if (byteLength >= 16) {
		const lanes = Int32Array.of(P1 + P2, P2, 0, -P1);
		for (; at + 16 <= byteLength; at += 16)
			for (let i = 0; i < 4; i++) {
				const word = view.getInt32(at + 4 * i, true);
				const sum = ((lanes[i] as number) + Math.imul(word, P2)) | 0;
				lanes[i] = Math.imul(rotate(sum, 13), P1);
			}
		const [a, b, c, d] = lanes as unknown as [number, number, number, number];
		hash = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
	}
	hash = (hash + byteLength) | 0;
	for (; at + 4 <= byteLength; at += 4) {
		hash = (hash + Math.imul(view.getInt32(at, true), P3)) | 0;
		hash = Math.imul(rotate(hash, 17), P4);
	}
	for (; at < byteLength; at++) {
		hash = (hash + Math.imul(bytes[at] as number, P5)) | 0;
		hash = Math.imul(rotate(hash, 11), P1);
	}
	hash = Math.imul(hash ^ (hash >>> 15), P2);
	hash = Math.imul(hash ^ (hash >>> 13), P3);
	return (hash ^ (hash >>> 16)) >>> 0;
}
