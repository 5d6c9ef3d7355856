/**
 * Checks build/package as its users meet it: publint and arethetypeswrong on the tarball, then the tarball
 * alone in an empty project, compiled from TypeScript and run, its command line too.
 */

import { ok, strictEqual } from "node:assert";
import { cpSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { build } from "esbuild";
import { installPackage } from "./install_package.ts";

const { project, tarball, run, remove } = installPackage();
const bin = (name: string) => resolve("node_modules/.bin", name);

/** Of a browser's bundle of one line. */
async function bundleSize(contents: string): Promise<number> {
	const { outputFiles } = await build({
		stdin: { contents, resolveDir: project },
		bundle: true,
		minify: true,
		format: "esm",
		conditions: ["browser"],
		loader: { ".wasm": "file" },
		outdir: project,
		write: false,
		logLevel: "error",
	});
	const script = outputFiles.find(({ path }) => path.endsWith(".js"));
	return script?.contents.length ?? 0;
}

try {
	console.log(run(bin("publint"), ["run", tarball, "--strict"]));
	// Raw modules and data have no JavaScript types to resolve; CommonJS can require() modules since Node 22.
	const data = ["strict.wasm", "relaxed.wasm", "stories.bitskip"];
	console.log(
		run(bin("attw"), [
			tarball,
			"--profile",
			"esm-only",
			"--exclude-entrypoints",
			...[...data, "stories.tokenizer.json"].map((name) => `./${name}`),
		]),
	);
	cpSync("test/package/consumer.ts", join(project, "consumer.ts"));
	run(process.execPath, [
		resolve("node_modules/typescript/bin/tsc"),
		...["--module", "nodenext", "--target", "es2024", "--strict"],
		...["--skipLibCheck", "--types", "node"],
		...["--typeRoots", resolve("node_modules/@types"), "consumer.ts"],
	]);
	const found = JSON.parse(run(process.execPath, ["consumer.js"]));
	strictEqual(found.text, ", there was a little girl named Lily");
	strictEqual(found.same, found.text);
	strictEqual(found.id, "stories");
	strictEqual(found.refused, true);
	strictEqual(found.headerSize, 256);
	strictEqual(found.pack, "function");
	const command = join(project, "node_modules/.bin/bitskip");
	const help = run(process.execPath, [command, "run", "--help"]);
	strictEqual(help.startsWith("Usage: bitskip run"), true);
	cpSync("test/package/worker.ts", join(project, "worker.ts"));
	run(process.execPath, [
		resolve("node_modules/wrangler/bin/wrangler.js"),
		...["deploy", "worker.ts", "--dry-run", "--outdir", "bundle"],
		...["--name", "consumer", "--compatibility-date", "2026-11-01"],
	]);
	// The workerd condition was taken: the modules are part of the Worker.
	const modules = readdirSync(join(project, "bundle")).filter((name) =>
		name.endsWith(".wasm"),
	);
	strictEqual(modules.length, 2);
	// Who takes a part gets that part: bytes of JavaScript, minified, tokenizer library included.
	for (const [what, most] of [
		[
			'import { ModelError } from "bitskip-edge"; console.log(ModelError)',
			2_000,
		],
		['import { load } from "bitskip-edge"; console.log(load)', 60_000],
		['import { pack } from "bitskip-edge/pack"; console.log(pack)', 120_000],
	] as const) {
		const bytes = await bundleSize(what);
		console.log(`${bytes} bytes: ${what}`);
		ok(bytes <= most, `more than ${most} bytes: not shaken off`);
	}
	console.log("installed in an empty project: compiles, runs, writes");
} finally {
	remove();
}
