/**
 * The tensors of a Hugging Face `bitnet` model by name, read by rows, with errors that say what a model
 * needs.
 *
 * @module
 */

import type { Storage } from "./huggingface.ts";
import { type Tensor, toFloat32 } from "./safetensors.ts";
import { TILE_ROWS, ternaryCodes } from "./tiles.ts";

type Shape = readonly [rows: number, columns: number];

export class Checkpoint {
	readonly #tensors: Map<string, Tensor>;
	readonly #storage: Storage;

	constructor(tensors: Map<string, Tensor>, storage: Storage) {
		this.#tensors = tensors;
		this.#storage = storage;
	}

	#get(name: string, shape?: readonly number[]): Tensor {
		const tensor = this.#tensors.get(name);
		if (!tensor) throw new RangeError(`model.safetensors: no tensor ${name}`);
		if (shape && tensor.shape.join() !== shape.join())
			throw new RangeError(
				`model.safetensors: ${name} is (${tensor.shape}), and config.json says (${shape})`,
			);
		return tensor;
	}

	/** Rows `from` to `to` - 1 (default: all) of a float tensor. */
	f32(
		name: string,
		shape: readonly number[],
		from = 0,
		to = shape[0] as number,
	): Float32Array {
		const columns = shape.slice(1).reduce((product, n) => product * n, 1);
		const tensor = this.#get(name, shape);
		try {
			return toFloat32(tensor, from * columns, to * columns);
		} catch (error) {
			if (!(error instanceof RangeError)) throw error;
			throw new RangeError(`model.safetensors: ${name}: ${error.message}`);
		}
	}

	/**
	 * What the ternary weights of matrix `name` are times: stored beside packed ones, the absolute mean
	 * of float ones.
	 */
	scale(name: string, shape: Shape): number {
		if (this.#isPacked(name)) {
			const stored = `${name}.weight_scale`;
			const scale = this.f32(stored, [1])[0] as number;
			if (!(Number.isFinite(scale) && scale !== 0))
				throw new RangeError(
					`model.safetensors: ${stored} is ${scale}, and must be a number other than 0`,
				);
			return this.#storage.scale === "divisor" ? 1 / scale : scale;
		}
		if (!this.#storage.quantize)
			throw new RangeError(
				`model.safetensors: ${name}.weight is ${this.#get(`${name}.weight`).dtype}, and config.json's quantization_mode "offline" promises packed U8; for float weights that are to be quantised it is "online"`,
			);
		let sum = 0;
		for (let from = 0; from < shape[0]; from += TILE_ROWS)
			for (const weight of this.f32(
				`${name}.weight`,
				shape,
				from,
				Math.min(from + TILE_ROWS, shape[0]),
			))
				sum += Math.abs(weight);
		if (!Number.isFinite(sum))
			throw new RangeError(
				`model.safetensors: ${name}.weight holds infinities or NaNs`,
			);
		return Math.fround(Math.max(sum / (shape[0] * shape[1]), 1e-5));
	}

	/** The {0, 1, 2} of rows `from` to `to` - 1 of a ternary matrix, packed or quantised by `scale`. */
	codes(
		name: string,
		shape: Shape,
		from: number,
		to: number,
		scale: number,
	): Uint8Array {
		const weight = `${name}.weight`;
		return this.#isPacked(name)
			? this.#unpack(weight, shape, from, to)
			: ternaryCodes(this.f32(weight, shape, from, to), scale);
	}

	#isPacked(name: string): boolean {
		return this.#get(`${name}.weight`).dtype === "U8";
	}

	/** Hugging Face packs four rows a byte: row r of each quarter of the matrix. */
	#unpack(
		name: string,
		[rows, columns]: Shape,
		from: number,
		to: number,
	): Uint8Array {
		const quarter = rows / 4;
		const tensor = this.#get(name, [quarter, columns]);
		const codes = new Uint8Array((to - from) * columns);
		let at = 0;
		for (let row = from; row < to; ) {
			const part = Math.floor(row / quarter);
			const end = Math.min(to, (part + 1) * quarter);
			const first = (row - part * quarter) * columns;
			const last = first + (end - row) * columns;
			for (const byte of tensor.read(first, last)) {
				const code = (byte >> (2 * part)) & 3;
				if (code === 3)
					throw new RangeError(
						`model.safetensors: ${name} has the code 3 in row ${from + Math.floor(at / columns)}; codes are 0, 1 and 2`,
					);
				codes[at++] = code;
			}
			row = end;
		}
		return codes;
	}
}
