/**
 * A host of the raw ABI (docs/abi.md), without this project's library: greedy decoding that leaves at a
 * layer.
 *
 *   node host.js <strict.wasm|relaxed.wasm> <image> <exit layer> <tokens> <prompt id,id,...>
 *
 * prints the ids of the tokens that come next.
 */

import { readFileSync } from "node:fs";

const ABI_VERSION = 3;
const [modulePath, imagePath, layer, tokens, promptIds] = process.argv.slice(2);
if (!promptIds) {
	console.error("host.js <module> <image> <exit layer> <tokens> <id,id,...>");
	process.exit(2);
}
const module = new WebAssembly.Module(readFileSync(modulePath));
const engine = new WebAssembly.Instance(module).exports; // It imports nothing.
if (engine.abiVersion() !== ABI_VERSION)
	throw new Error(`ABI ${engine.abiVersion()}, wanted ${ABI_VERSION}`);

/** Statuses are 0 or say what is wrong. */
function check(status) {
	if (status !== 0) throw new Error(`status ${status}: see docs/abi.md`);
}

const image = readFileSync(imagePath);
const address = engine.reserveImage(image.length) >>> 0; // Addresses are unsigned.
if (address === 0) throw new Error("out of memory");
new Uint8Array(engine.memory.buffer).set(image, address);
check(engine.loadImage(1));

// The header's fields: docs/model-format.md. The engine has verified them.
const header = new DataView(image.buffer, image.byteOffset, 256);
const [vocabSize, maxSeqLen, eos] = [40, 44, 72].map((at) =>
	header.getUint32(at, true),
);
const exits = Array.from({ length: header.getUint32(76, true) }, (_, i) =>
	header.getUint32(80 + 4 * i, true),
);
const depth = Number(layer);
const exit = exits.indexOf(depth);
if (exit < 0) throw new Error(`no exit at layer ${layer}; exits: ${exits}`);

/** Runs tokens, at most maxBatch, at `position` and on; returns the likeliest next one. */
function step(ids, position) {
	ids.forEach((id, slot) => {
		check(engine.embed(slot, id));
	});
	for (let l = 0; l < depth; l++)
		check(engine.layer(0, l, position, ids.length));
	check(engine.head(exit, ids.length - 1));
	// A view made anew: memory that grows detaches older ones. It does so only while loading.
	const { buffer } = engine.memory;
	const logits = new Float32Array(buffer, engine.logits() >>> 0, vocabSize);
	return logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));
}

const prompt = promptIds.split(",").map(Number);
const batch = engine.maxBatch();
let next = 0;
for (let at = 0; at < prompt.length; at += batch)
	next = step(prompt.slice(at, at + batch), at);
const ids = [];
for (
	let at = prompt.length;
	ids.length < Number(tokens) && next !== eos;
	at++
) {
	ids.push(next);
	if (at === maxSeqLen) break;
	next = step([next], at);
}
console.log(ids.join(","));
