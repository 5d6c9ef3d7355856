/**
 * Reads safetensors files (github.com/huggingface/safetensors): a header length, a JSON header, then
 * the tensors' bytes.
 *
 * @module
 */

export interface Tensor {
	dtype: string;
	shape: number[];
	bytes: Uint8Array;
}

const DTYPE_BYTES: Record<string, number> = { U8: 1, BF16: 2, F16: 2, F32: 4 };

/**
 * The tensors of a whole file, by name; their bytes are views of `file`.
 * @throws RangeError that names what is wrong with the file.
 */
export function readSafetensors(file: Uint8Array): Map<string, Tensor> {
	const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
	if (file.byteLength < 8) throw new RangeError("safetensors: truncated file");
	const headerSize = Number(view.getBigUint64(0, true));
	const dataStart = 8 + headerSize;
	if (dataStart > file.byteLength)
		throw new RangeError(
			`safetensors: a header of ${headerSize} bytes in a file of ${file.byteLength}`,
		);
	const header: unknown = JSON.parse(
		new TextDecoder().decode(file.subarray(8, dataStart)),
	);
	if (typeof header !== "object" || header === null)
		throw new RangeError("safetensors: the header is not an object");
	const tensors = new Map<string, Tensor>();
	for (const [name, entry] of Object.entries(header)) {
		if (name === "__metadata__") continue;
		const { dtype, shape, data_offsets: offsets } = entry as HeaderEntry;
		const [begin, end] = offsets;
		const size = DTYPE_BYTES[dtype];
		if (size === undefined)
			throw new RangeError(
				`safetensors: ${name} is ${dtype}; readable are ${Object.keys(DTYPE_BYTES).join(", ")}`,
			);
		const expected = shape.reduce((product, n) => product * n, size);
		if (end - begin !== expected || dataStart + end > file.byteLength)
			throw new RangeError(
				`safetensors: ${name} should have ${expected} bytes and lies at ${begin} to ${end} of ${file.byteLength - dataStart}`,
			);
		const bytes = file.subarray(dataStart + begin, dataStart + end);
		tensors.set(name, { dtype, shape, bytes });
	}
	return tensors;
}

interface HeaderEntry {
	dtype: string;
	shape: number[];
	data_offsets: [number, number];
}

/** A floating-point tensor as f32, whatever it is stored as (BF16 or F32). */
export function toFloat32({ dtype, bytes }: Tensor): Float32Array {
	// Aligned, and a copy even of a Buffer, whose slice() is a view.
	const copy = new Uint8Array(bytes);
	if (dtype === "F32") return new Float32Array(copy.buffer);
	if (dtype !== "BF16")
		throw new RangeError(`safetensors: ${dtype} is not BF16 or F32`);
	const words = Uint32Array.from(
		new Uint16Array(copy.buffer),
		(half) => half << 16,
	);
	return new Float32Array(words.buffer);
}
