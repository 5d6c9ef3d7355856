/**
 * Reads safetensors files (github.com/huggingface/safetensors): a header length, a JSON header, then
 * the tensors' bytes, which are read by range and only when asked for.
 *
 * @module
 */

import * as z from "zod";

/** Bytes that can be read by range: a file, or memory. */
export interface ByteSource {
	readonly size: number;
	/** Bytes `begin` to `end` - 1. They may be a view, valid until the next call. */
	read(begin: number, end: number): Uint8Array;
}

export interface Tensor {
	dtype: string;
	shape: number[];
	/** Bytes `begin` to `end` - 1 of the tensor, as ByteSource.read. */
	read(begin: number, end: number): Uint8Array;
}

const DTYPE_BYTES: Record<string, number> = { U8: 1, BF16: 2, F16: 2, F32: 4 };
/** What safetensors itself allows, bytes. */
const MAX_HEADER = 100_000_000;

const Header = z.record(
	z.string(),
	z.object({
		dtype: z.string(),
		shape: z.array(z.int().nonnegative()),
		data_offsets: z.tuple([z.int().nonnegative(), z.int().nonnegative()]),
	}),
);

export function inMemory(bytes: Uint8Array): ByteSource {
	return {
		size: bytes.byteLength,
		read: (begin, end) => bytes.subarray(begin, end),
	};
}

/**
 * The tensors of a file, by name. Types that nothing here can read are refused only where they are read.
 * @throws RangeError that names what is wrong with the file.
 */
export function readSafetensors(file: ByteSource): Map<string, Tensor> {
	if (file.size < 8) throw new RangeError("safetensors: truncated file");
	const length = file.read(0, 8);
	const headerSize = Number(
		new DataView(length.buffer, length.byteOffset, 8).getBigUint64(0, true),
	);
	const dataStart = 8 + headerSize;
	if (dataStart > file.size || headerSize > MAX_HEADER)
		throw new RangeError(
			`safetensors: a header of ${headerSize} bytes in a file of ${file.size}`,
		);
	const { __metadata__: _, ...entries } = parseJson(file.read(8, dataStart));
	const header = Header.safeParse(entries);
	if (!header.success)
		throw new RangeError(
			`safetensors: in the header, ${z.prettifyError(header.error)}`,
		);
	const tensors = new Map<string, Tensor>();
	for (const [name, entry] of Object.entries(header.data)) {
		const { dtype, shape, data_offsets: offsets } = entry;
		const [begin, end] = offsets;
		const size = DTYPE_BYTES[dtype];
		const expected = size && shape.reduce((product, n) => product * n, size);
		if (
			begin > end ||
			end > file.size - dataStart ||
			(expected !== undefined && end - begin !== expected)
		)
			throw new RangeError(
				`safetensors: ${name} should have ${expected ?? "some"} bytes and lies at ${begin} to ${end} of ${file.size - dataStart}`,
			);
		const start = dataStart + begin;
		tensors.set(name, {
			dtype,
			shape,
			read: (from, to) => file.read(start + from, start + to),
		});
	}
	return tensors;
}

function parseJson(bytes: Uint8Array): Record<string, unknown> {
	let header: unknown;
	try {
		header = JSON.parse(new TextDecoder().decode(bytes));
	} catch (error) {
		throw new RangeError("safetensors: the header is not JSON", {
			cause: error,
		});
	}
	if (typeof header !== "object" || header === null)
		throw new RangeError("safetensors: the header is not an object");
	return header as Record<string, unknown>;
}

/**
 * Elements `from` to `to` - 1 (default: all) of a floating-point tensor as f32, a copy.
 * @throws RangeError where the tensor is not stored as BF16 or F32.
 */
export function toFloat32(
	{ dtype, shape, read }: Tensor,
	from = 0,
	to = shape.reduce((product, n) => product * n, 1),
): Float32Array {
	if (dtype !== "F32" && dtype !== "BF16")
		throw new RangeError(`it is ${dtype}; readable as numbers are BF16, F32`);
	const size = dtype === "F32" ? 4 : 2;
	// Aligned, and a copy even of a Buffer, whose slice() is a view.
	const copy = new Uint8Array(read(from * size, to * size));
	if (dtype === "F32") return new Float32Array(copy.buffer);
	const halves = new Uint16Array(copy.buffer);
	const words = new Uint32Array(halves.length);
	for (let i = 0; i < halves.length; i++)
		words[i] = (halves[i] as number) << 16;
	return new Float32Array(words.buffer);
}
