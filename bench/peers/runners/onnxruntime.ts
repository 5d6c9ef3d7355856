/** onnxruntime, `options.build` is `web` (WebAssembly) or `node` (native). One thread. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { InferenceSession, Tensor } from "onnxruntime-common";
import type { Job, Session } from "../session.ts";

type Ort = typeof import("onnxruntime-common");

async function load(build: string | undefined): Promise<Ort> {
	if (build === "node") return import("onnxruntime-node");
	const ort = await import("onnxruntime-web");
	ort.env.wasm.numThreads = 1;
	return ort;
}

export async function open({
	model,
	options,
	nLayers,
	kvDim,
	nKvHeads,
}: Job): Promise<Session> {
	const { InferenceSession, Tensor } = await load(options.build);
	const session = await InferenceSession.create(readFileSync(model), {
		executionProviders: [options.build === "node" ? "cpu" : "wasm"],
		graphOptimizationLevel: "all",
		intraOpNumThreads: 1,
		interOpNumThreads: 1,
	});
	const names = Array.from({ length: nLayers }, (_, l) => [
		`k.${l}`,
		`v.${l}`,
	]).flat();
	let past: Record<string, Tensor> = {};
	let logits: Tensor | undefined;
	const run = async (ids: number[], position: number) => {
		const total = position + ids.length;
		const feeds: InferenceSession.FeedsType = {
			ids: new Tensor("int64", BigInt64Array.from(ids, BigInt), [
				1,
				ids.length,
			]),
			seqlens: new Tensor("int32", Int32Array.of(total - 1), [1]),
			total: new Tensor("int32", Int32Array.of(total), []),
			...past,
		};
		const outputs = await session.run(feeds);
		logits = outputs.logits;
		past = Object.fromEntries(
			names.map((name) => {
				const [part, l] = name.split(".");
				return [`past_${name}`, outputs[`present_${part}.${l}`] as Tensor];
			}),
		);
	};
	return {
		prefill(ids) {
			const none = () =>
				new Tensor("float32", new Float32Array(), [
					1,
					nKvHeads,
					0,
					kvDim / nKvHeads,
				]);
			past = Object.fromEntries(names.map((name) => [`past_${name}`, none()]));
			return run(ids, 0);
		},
		decode: (id, position) => run([id], position),
		logits: () => logits?.data as Float32Array,
	};
}

export function files({ options }: Job): string[] {
	const path = (name: string) =>
		fileURLToPath(new URL(`../node_modules/${name}`, import.meta.url));
	if (options.build === "web")
		return [
			"ort-wasm-simd-threaded.wasm",
			"ort-wasm-simd-threaded.mjs",
			"ort.node.min.mjs",
		].map((name) => path(`onnxruntime-web/dist/${name}`));
	const folder = `onnxruntime-node/bin/napi-v6/${process.platform}/${process.arch}`;
	return ["libonnxruntime.so.1", "onnxruntime_binding.node"].map((name) =>
		path(`${folder}/${name}`),
	);
}
