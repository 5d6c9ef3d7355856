/**
 * Writes Protocol Buffers' wire format: varints, floats, and fields with a length.
 *
 * @module
 */

/** A field's bytes, in pieces. */
export type Message = Uint8Array[];

function varint(value: number): Uint8Array {
	const bytes: number[] = [];
	let rest = BigInt.asUintN(64, BigInt(value));
	for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
	return Uint8Array.of(...bytes, Number(rest));
}

/** An integer, negative ones included. */
export function int(field: number, value: number): Message {
	return [varint(field << 3), varint(value)];
}

export function float(field: number, value: number): Message {
	return [
		varint((field << 3) | 5),
		new Uint8Array(Float32Array.of(value).buffer),
	];
}

/** Raw bytes, or a message within a message. */
export function bytes(field: number, ...pieces: Message): Message {
	const length = pieces.reduce((sum, { byteLength }) => sum + byteLength, 0);
	return [varint((field << 3) | 2), varint(length), ...pieces];
}

export function string(field: number, text: string): Message {
	return bytes(field, new TextEncoder().encode(text));
}
