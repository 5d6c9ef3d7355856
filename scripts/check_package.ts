/**
 * Checks build/package as its users meet it: publint and arethetypeswrong on the tarball, then the tarball
 * alone in an empty project, compiled from TypeScript and run, its command line too.
 */

import { strictEqual } from "node:assert";
import { execFileSync } from "node:child_process";
import {
	cpSync,
	mkdtempSync,
	readdirSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const PACKAGE = resolve("build/package");
const project = mkdtempSync(join(tmpdir(), "bitskip-"));
/** Runs a command, shows what it says where it fails. */
const run = (command: string, args: string[], cwd = ".") =>
	execFileSync(command, args, {
		cwd,
		encoding: "utf8",
		stdio: ["ignore", "pipe", "inherit"],
	});

try {
	const [{ filename }] = JSON.parse(
		run("npm", ["pack", PACKAGE, "--json", "--pack-destination", project]),
	);
	const tarball = join(project, filename);
	console.log(run("npx", ["publint", "run", tarball, "--strict"]));
	// Raw modules and data have no JavaScript types to resolve; CommonJS can require() modules since Node 22.
	const data = ["strict.wasm", "relaxed.wasm", "stories.bitskip"];
	console.log(
		run("npx", [
			"attw",
			tarball,
			"--profile",
			"esm-only",
			"--exclude-entrypoints",
			...[...data, "stories.tokenizer.json"].map((name) => `./${name}`),
		]),
	);
	writeFileSync(
		join(project, "package.json"),
		JSON.stringify({ type: "module", private: true }),
	);
	run("npm", ["install", "--no-audit", "--no-fund", tarball], project);
	cpSync("test/package/consumer.ts", join(project, "consumer.ts"));
	run(
		process.execPath,
		[
			resolve("node_modules/typescript/bin/tsc"),
			...["--module", "nodenext", "--target", "es2024", "--strict"],
			...["--skipLibCheck", "--types", "node"],
			...["--typeRoots", resolve("node_modules/@types"), "consumer.ts"],
		],
		project,
	);
	const found = JSON.parse(run(process.execPath, ["consumer.js"], project));
	strictEqual(found.text, ", there was a little girl named Lily");
	strictEqual(found.same, found.text);
	strictEqual(found.id, "stories");
	strictEqual(found.refused, true);
	strictEqual(found.headerSize, 256);
	strictEqual(found.pack, "function");
	const bin = join(project, "node_modules/.bin/bitskip");
	const help = run(process.execPath, [bin, "run", "--help"], project);
	strictEqual(help.startsWith("Usage: bitskip run"), true);
	cpSync("test/package/worker.ts", join(project, "worker.ts"));
	run(
		process.execPath,
		[
			resolve("node_modules/wrangler/bin/wrangler.js"),
			...["deploy", "worker.ts", "--dry-run", "--outdir", "bundle"],
			...["--name", "consumer", "--compatibility-date", "2026-11-01"],
		],
		project,
	);
	// The workerd condition was taken: the modules are part of the Worker.
	const modules = readdirSync(join(project, "bundle")).filter((name) =>
		name.endsWith(".wasm"),
	);
	strictEqual(modules.length, 2);
	console.log("installed in an empty project: compiles, runs, writes");
} finally {
	rmSync(project, { recursive: true });
}
