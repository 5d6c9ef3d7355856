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

const round = (lane: number, word: number) =>
	Math.imul(rotate((lane + Math.imul(word, P2)) | 0, 13), P1);

/** The hash of bytes that come in pieces. */
export class Xxh32 {
	#a = (P1 + P2) | 0;
	#b = P2 | 0;
	#c = 0;
	#d = -P1 | 0;
	#length = 0;
	/** Bytes that do not fill a stripe of 16 yet. */
	readonly #rest = new Uint8Array(16);
	#held = 0;

	update(bytes: Uint8Array): void {
		this.#length += bytes.byteLength;
		let from = 0;
		if (this.#held > 0) {
			from = Math.min(16 - this.#held, bytes.byteLength);
			this.#rest.set(bytes.subarray(0, from), this.#held);
			this.#held += from;
			if (this.#held < 16) return;
			this.#stripes(this.#rest);
		}
		const end = from + ((bytes.byteLength - from) & ~15);
		this.#stripes(bytes.subarray(from, end));
		this.#rest.set(bytes.subarray(end));
		this.#held = bytes.byteLength - end;
	}

	#stripes({ buffer, byteOffset, byteLength }: Uint8Array): void {
		const view = new DataView(buffer, byteOffset, byteLength);
		let [a, b, c, d] = [this.#a, this.#b, this.#c, this.#d];
		for (let at = 0; at < byteLength; at += 16) {
			a = round(a, view.getInt32(at, true));
			b = round(b, view.getInt32(at + 4, true));
			c = round(c, view.getInt32(at + 8, true));
			d = round(d, view.getInt32(at + 12, true));
		}
		[this.#a, this.#b, this.#c, this.#d] = [a, b, c, d];
	}

	digest(): number {
		let hash = P5;
		if (this.#length >= 16)
			hash =
				rotate(this.#a, 1) +
				rotate(this.#b, 7) +
				rotate(this.#c, 12) +
				rotate(this.#d, 18);
		// Modulo 2^32, as the specification has it.
		hash = (hash + (this.#length >>> 0)) | 0;
		const rest = this.#rest;
		const view = new DataView(rest.buffer);
		let at = 0;
		for (; at + 4 <= this.#held; at += 4) {
			hash = (hash + Math.imul(view.getInt32(at, true), P3)) | 0;
			hash = Math.imul(rotate(hash, 17), P4);
		}
		for (; at < this.#held; at++) {
			hash = (hash + Math.imul(rest[at] as number, P5)) | 0;
			hash = Math.imul(rotate(hash, 11), P1);
		}
		hash = Math.imul(hash ^ (hash >>> 15), P2);
		hash = Math.imul(hash ^ (hash >>> 13), P3);
		return (hash ^ (hash >>> 16)) >>> 0;
	}
}

export function xxh32(bytes: Uint8Array): number {
	const hash = new Xxh32();
	hash.update(bytes);
	return hash.digest();
}
