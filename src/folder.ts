/**
 * A Hugging Face model folder on disk: config.json, model.safetensors or its shards, tokenizer.json.
 *
 * @module
 */

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import * as z from "zod";
import {
	type ByteSource,
	readSafetensors,
	type Tensor,
} from "./pack/safetensors.ts";

export interface Folder {
	configJson: unknown;
	/** Read from the files when asked for. */
	tensors: Map<string, Tensor>;
	/** Closes the files: no tensor can be read then. */
	close(): void;
}

const ShardIndex = z.object({ weight_map: z.record(z.string(), z.string()) });

/**
 * Opens a folder.
 * @throws RangeError that names the file which is missing or not what it should be.
 */
export async function openFolder(folder: string): Promise<Folder> {
	const configJson = await readJson(folder, "config.json");
	const files: File[] = [];
	const close = () => {
		for (const file of files) file.close();
	};
	try {
		const open = (name: string) => {
			const file = openFile(folder, name);
			files.push(file);
			return readSafetensors(file);
		};
		const single = "model.safetensors";
		const index = await readJson(folder, `${single}.index.json`, true);
		const tensors = index ? readShards(index, open) : open(single);
		return { configJson, tensors, close };
	} catch (error) {
		close();
		throw error;
	}
}

/** The text of a folder's file. @throws RangeError where it cannot be read. */
export async function readText(folder: string, name: string): Promise<string> {
	try {
		return await readFile(join(folder, name), "utf8");
	} catch (error) {
		throw unreadable(folder, name, error);
	}
}

async function readJson(
	folder: string,
	name: string,
	optional = false,
): Promise<unknown> {
	let text: string;
	try {
		text = await readFile(join(folder, name), "utf8");
	} catch (error) {
		if (optional && (error as NodeJS.ErrnoException).code === "ENOENT") return;
		throw unreadable(folder, name, error);
	}
	try {
		return JSON.parse(text);
	} catch (error) {
		throw new RangeError(`${name} is not JSON: ${(error as Error).message}`);
	}
}

function unreadable(folder: string, name: string, error: unknown): RangeError {
	return new RangeError(
		`cannot read ${name} in ${folder}: ${(error as Error).message}. A model folder has config.json, tokenizer.json and model.safetensors, or shards of it and model.safetensors.index.json`,
	);
}

function readShards(
	index: unknown,
	open: (name: string) => Map<string, Tensor>,
): Map<string, Tensor> {
	const parsed = ShardIndex.safeParse(index);
	if (!parsed.success)
		throw new RangeError(
			`model.safetensors.index.json: ${z.prettifyError(parsed.error)}`,
		);
	const shards = new Map<string, Map<string, Tensor>>();
	const tensors = new Map<string, Tensor>();
	for (const [name, file] of Object.entries(parsed.data.weight_map)) {
		if (file !== basename(file))
			throw new RangeError(
				`model.safetensors.index.json: ${file} is not a name in this folder`,
			);
		const shard = shards.get(file) ?? open(file);
		shards.set(file, shard);
		const tensor = shard.get(name);
		if (!tensor)
			throw new RangeError(
				`model.safetensors.index.json: ${name} is not in ${file}`,
			);
		tensors.set(name, tensor);
	}
	return tensors;
}

interface File extends ByteSource {
	close(): void;
}

/** A file read by range into one buffer, which grows to the largest range. */
function openFile(folder: string, name: string): File {
	let descriptor: number;
	try {
		descriptor = openSync(join(folder, name), "r");
	} catch (error) {
		throw unreadable(folder, name, error);
	}
	let buffer = new Uint8Array(0);
	return {
		size: fstatSync(descriptor).size,
		read(begin, end) {
			const length = end - begin;
			if (length > buffer.length) buffer = new Uint8Array(length);
			for (let at = 0; at < length; ) {
				const count = readSync(descriptor, buffer, at, length - at, begin + at);
				if (count === 0)
					throw new RangeError(`${name} ends at ${begin + at} bytes`);
				at += count;
			}
			return buffer.subarray(0, length);
		},
		close: () => closeSync(descriptor),
	};
}
