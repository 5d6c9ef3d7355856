/**
 * llama.cpp, native, as node-llama-cpp ships it; called below its JavaScript API, which samples in steps of its own and
 * would cost it a good part of its speed at these sizes.
 *
 * `options`: `backend` is the CPU backend's name (haswell, zen4, ...), empty for llama.cpp's own choice; `flash` is
 * on, off or auto; `cache` is the type of keys and values, f16 or f32.
 */

import { copyFileSync, globSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BindingModule } from "../node_modules/node-llama-cpp/dist/bindings/AddonTypes.js";
import type { Job, Session } from "../session.ts";

const require = createRequire(import.meta.url);
const CONTEXT = 512;

/** The folder of this platform's prebuilt files without a GPU. */
function binaries(): string {
	const name = `${{ darwin: "mac", win32: "win" }[process.platform as string] ?? process.platform}-${process.arch}`;
	return fileURLToPath(
		new URL(
			`../node_modules/@node-llama-cpp/${name}/bins/${name}`,
			import.meta.url,
		),
	);
}

export async function open({ model, options }: Job): Promise<Session> {
	const folder = binaries();
	const binding = require(join(folder, "llama-addon.node")) as BindingModule;
	binding.setLogger(() => {});
	binding.setLoggerLogLevel(0);
	if (options.backend) {
		const only = mkdtempSync(join(tmpdir(), "bitskip-backend-"));
		try {
			const file = `libggml-cpu-${options.backend}.so`;
			copyFileSync(join(folder, file), join(only, file));
			binding.loadBackends(only);
		} finally {
			rmSync(only, { recursive: true });
		}
	} else binding.loadBackends(folder);
	await binding.init();
	const loaded = new binding.AddonModel(model, {
		gpuLayers: 0,
		addonExports: binding,
	});
	if (!(await loaded.init()))
		throw new Error("llama.cpp did not load the model");
	const type = binding.getGgmlType(options.cache === "f32" ? "F32" : "F16");
	const context = new binding.AddonContext(loaded, {
		contextSize: CONTEXT,
		batchSize: CONTEXT,
		sequences: 1,
		threads: 1,
		flashAttention: options.flash === "auto" ? "auto" : options.flash === "on",
		...(type !== undefined && {
			kvCacheKeyType: type,
			kvCacheValueType: type,
		}),
	});
	if (!(await context.init())) throw new Error("llama.cpp made no context");
	let last = 0;
	const sampler = new binding.AddonSampler(loaded);
	sampler.applyConfig({ temperature: 0 });
	const run = async (ids: number[], position: number) => {
		context.initBatch(ids.length);
		const [index] = context.addToBatch(
			0,
			position,
			Uint32Array.from(ids),
			Uint32Array.of(ids.length - 1),
		);
		last = index as number;
		await context.decodeBatch();
	};
	return {
		prefill(ids) {
			context.disposeSequence(0);
			return run(ids, 0);
		},
		decode: (id, position) => run([id], position),
		async logits() {
			const sampled = await context.sampleToken(
				last as Parameters<typeof context.sampleToken>[0],
				sampler,
				false,
				false,
				true,
			);
			// Token, logit, token, logit, ... by descending logit.
			const pairs = sampled[3] ?? [];
			const logits = new Float32Array(pairs.length / 2);
			for (let i = 0; i < pairs.length; i += 2)
				logits[pairs[i] as number] = pairs[i + 1] as number;
			return logits;
		},
	};
}

export function files({ options }: Job): string[] {
	const folder = binaries();
	const chosen = options.backend || "*";
	const backends = globSync(join(folder, `libggml-cpu-${chosen}.so`));
	return [
		...globSync(join(folder, "*.{so,node}")).filter(
			(path) => !basename(path).startsWith("libggml-cpu-"),
		),
		...backends,
	];
}
