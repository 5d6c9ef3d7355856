/** The exports of assembly/kernels.ts, and memory to put their arguments in. */
export class Kernels {
	readonly exports: Record<string, (...args: number[]) => number>;
	readonly memory: WebAssembly.Memory;
	#top: number;

	constructor(module: WebAssembly.Module) {
		const { exports } = new WebAssembly.Instance(module);
		this.exports = exports as Kernels["exports"];
		this.memory = exports.memory as WebAssembly.Memory;
		this.memory.grow(64);
		this.#top = this.call("heapBase");
	}

	call(name: string, ...args: number[]): number {
		const kernel = this.exports[name];
		if (!kernel) throw new Error(`kernels.ts exports no ${name}`);
		return kernel(...args);
	}

	/** Forgets all that was allocated. */
	reset(): void {
		this.#top = this.call("heapBase");
	}

	/** The address of so many zero bytes, behind a strip that nothing should write to. */
	allocate(bytes: number): number {
		const address = this.#top;
		this.#top += Math.ceil(bytes / 64) * 64 + 64;
		if (this.#top > this.memory.buffer.byteLength)
			throw new Error("the test memory is too small");
		new Uint8Array(this.memory.buffer, address, this.#top - address).fill(0);
		return address;
	}

	put(values: ArrayBufferView): number {
		const address = this.allocate(values.byteLength);
		this.set(address, values);
		return address;
	}

	set(
		address: number,
		{ buffer, byteOffset, byteLength }: ArrayBufferView,
	): void {
		new Uint8Array(this.memory.buffer).set(
			new Uint8Array(buffer, byteOffset, byteLength),
			address,
		);
	}

	f32(address: number, n: number): Float32Array {
		return new Float32Array(this.memory.buffer, address, n).slice();
	}

	i32(address: number, n: number): Int32Array {
		return new Int32Array(this.memory.buffer, address, n).slice();
	}
}
