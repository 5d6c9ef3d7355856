/**
 * What it costs to be ready: CPU time from nothing to a loaded model, in fresh processes.
 *
 *   npm run bench:cold
 *
 * The files are read before the clock starts: a Worker has its module compiled ahead of time and its
 * image in memory when this begins. The last line is JSON.
 */

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { loadModel } from "../src/wasm.ts";
import { median } from "./measure.ts";

const PROCESSES = 21;
const build = (name: string) => new URL(`../build/${name}`, import.meta.url);

if (process.argv[2] === "once") {
	const bytes = readFileSync(build("relaxed.wasm"));
	const image = readFileSync(build("assets/stories.bitskip"));
	const before = process.cpuUsage();
	const module = new WebAssembly.Module(bytes);
	const compiled = process.cpuUsage(before);
	loadModel(module, image);
	const loaded = process.cpuUsage(before);
	const ms = ({ user, system }: NodeJS.CpuUsage) => (user + system) / 1000;
	console.log(JSON.stringify({ compile: ms(compiled), total: ms(loaded) }));
} else {
	const runs = Array.from({ length: PROCESSES }, () => {
		const output = execFileSync(process.execPath, [
			import.meta.filename,
			"once",
		]);
		return JSON.parse(String(output)) as { compile: number; total: number };
	});
	const cpu = cpus()[0]?.model ?? "unknown CPU";
	const compile = median(runs.map((run) => run.compile));
	const total = median(runs.map((run) => run.total));
	console.log(
		`${cpu}; Node ${process.version}; median of ${PROCESSES} processes, CPU ms of all threads\n` +
			`compiling the module ${compile.toFixed(1)}, then instantiating it and loading the image ${(total - compile).toFixed(1)}; together ${total.toFixed(1)}\n`,
	);
	console.log(
		JSON.stringify({
			cpu,
			node: process.version,
			processes: PROCESSES,
			compile,
			total,
		}),
	);
}
