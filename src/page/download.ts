/**
 * The model's files, kept in Cache Storage from one visit to the next.
 *
 * @module
 */

import type { ModelFile } from "./manifest.ts";

const PREFIX = "bitskip-";

/** @param loaded bytes so far, of `total`. */
export type OnProgress = (loaded: number, total: number) => void;

export class ModelCache {
	readonly #name: string;

	/** @param version of the files; those of other versions are dropped. */
	constructor(version: string) {
		this.#name = PREFIX + version;
	}

	/** The contents of `files`, in their order. @throws Error where one cannot be had whole. */
	async get(
		files: readonly ModelFile[],
		onProgress: OnProgress,
	): Promise<Uint8Array<ArrayBuffer>[]> {
		const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
		let loaded = 0;
		const count = (bytes: number) => {
			loaded += bytes;
			onProgress(loaded, total);
		};
		const cache = await this.#open();
		return Promise.all(
			files.map(async (file) => {
				const kept = await cache?.match(file.url);
				if (kept) {
					count(file.bytes);
					return new Uint8Array(await kept.arrayBuffer());
				}
				const bytes = await download(file, count);
				// A full disk is no reason not to write.
				await cache?.put(file.url, new Response(bytes)).catch(() => {});
				return bytes;
			}),
		);
	}

	/** Forgets the files, for example damaged ones. */
	async clear(): Promise<void> {
		await globalThis.caches?.delete(this.#name);
	}

	/** Undefined where there is no Cache Storage: on plain HTTP, and in some private windows. */
	async #open(): Promise<Cache | undefined> {
		try {
			for (const name of await caches.keys())
				if (name.startsWith(PREFIX) && name !== this.#name)
					await caches.delete(name);
			return await caches.open(this.#name);
		} catch {
			return undefined;
		}
	}
}

async function download(
	{ url, bytes }: ModelFile,
	onMore: (bytes: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
	const response = await fetch(url);
	if (!response.ok || !response.body)
		throw new Error(`${url}: ${response.status}; reload the page`);
	const content = new Uint8Array(bytes);
	let at = 0;
	for await (const chunk of response.body) {
		if (at + chunk.length > bytes) break;
		content.set(chunk, at);
		at += chunk.length;
		onMore(chunk.length);
	}
	if (at !== bytes)
		throw new Error(
			`${url} is not the ${bytes} bytes that this page was built with: reload the page`,
		);
	return content;
}
