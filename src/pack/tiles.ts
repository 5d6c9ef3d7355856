/**
 * Quantised weights and the kernels' tile layout; assembly/matmul.ts says why the tiles are as they are.
 *
 * @module
 */

export const TILE_ROWS = 32;

/** Codes {0, 1, 2} of (rows, columns), rows a multiple of 32, to 2-bit tiles of 32 rows x 4 columns. */
export function tileTernary(codes: Uint8Array, columns: number): Uint8Array {
	const tiles = new Uint8Array(codes.length / 4);
	const rows = codes.length / columns;
	for (let row = 0, i = 0; row < rows; row++) {
		const r = row % TILE_ROWS;
		const block = ((row - r) * columns) / 4;
		const inTile = block + (r >> 4) * 16 + (r & 3) * 4;
		const shift = 2 * ((r >> 2) & 3);
		for (let column = 0; column < columns; column++, i++) {
			const at = inTile + (column >> 2) * 32 + (column & 3);
			tiles[at] = (tiles[at] as number) | ((codes[i] as number) << shift);
		}
	}
	return tiles;
}

/** Codes [-63, 63] of (rows, columns) to bytes, + 64, in tiles of 32 rows x 4 columns; rows filled up with 0. */
export function tileInt7(codes: Int8Array, columns: number): Uint8Array {
	const rows = codes.length / columns;
	const tiles = new Uint8Array(roundUp(rows, TILE_ROWS) * columns).fill(64);
	for (let i = 0; i < codes.length; i++) {
		const row = Math.floor(i / columns);
		const column = i % columns;
		const tile = Math.floor(row / TILE_ROWS) * (columns / 4) + (column >> 2);
		tiles[tile * 128 + (row % TILE_ROWS) * 4 + (column & 3)] =
			(codes[i] as number) + 64;
	}
	return tiles;
}

/** (rows, columns) to tiles of 32 rows x 1 column; rows filled up with 0. */
export function tileF32(values: Float32Array, columns: number): Float32Array {
	const rows = values.length / columns;
	const tiles = new Float32Array(roundUp(rows, TILE_ROWS) * columns);
	for (let i = 0; i < values.length; i++) {
		const row = Math.floor(i / columns);
		const tile = Math.floor(row / TILE_ROWS) * columns + (i % columns);
		tiles[tile * TILE_ROWS + (row % TILE_ROWS)] = values[i] as number;
	}
	return tiles;
}

/**
 * Each row to [-63, 63] by its absmax, in f32 and with halves to even, as train/model.py does.
 * Scales are filled up to a multiple of 32 rows with 0.
 */
export function quantizeRows(
	values: Float32Array,
	columns: number,
): { codes: Int8Array; scales: Float32Array } {
	const rows = values.length / columns;
	const codes = new Int8Array(values.length);
	const scales = new Float32Array(roundUp(rows, TILE_ROWS));
	for (let row = 0; row < rows; row++) {
		let absmax = Math.fround(1e-5);
		for (let i = row * columns; i < (row + 1) * columns; i++)
			absmax = Math.max(absmax, Math.abs(values[i] as number));
		const scale = Math.fround(absmax / 63);
		scales[row] = scale;
		for (let i = row * columns; i < (row + 1) * columns; i++)
			codes[i] = roundHalfEven(Math.fround((values[i] as number) / scale));
	}
	return { codes, scales };
}

function roundHalfEven(x: number): number {
	const floor = Math.floor(x);
	if (x - floor !== 0.5) return Math.round(x);
	return floor % 2 === 0 ? floor : floor + 1;
}

export function roundUp(n: number, multiple: number): number {
	return Math.ceil(n / multiple) * multiple;
}

/**
 * Each weight to {0, 1, 2} for {-1, 0, 1} by `scale`, in f32 and with halves to even, as train/model.py's
 * `ternary` does.
 */
export function ternaryCodes(values: Float32Array, scale: number): Uint8Array {
	const codes = new Uint8Array(values.length);
	for (let i = 0; i < values.length; i++) {
		const x = Math.fround((values[i] as number) / scale);
		codes[i] = x > 0.5 ? 2 : x < -0.5 ? 0 : 1;
	}
	return codes;
}
