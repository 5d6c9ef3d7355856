/**
 * What it costs to be ready: CPU time from nothing to a loaded model, in fresh processes.
 *
 *   npm run bench:cold
 *
 * The files are read before the clock starts: a Worker has its module compiled ahead of time and its
 * image in memory when this begins. Fresh memory is paid for page by page, and on some virtual machines
 * dearly: so page faults are counted, and what one costs here is measured. The last line is JSON.
 */

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { loadModel } from "../src/wasm.ts";
import { median } from "./measure.ts";

const PROCESSES = 21;
const build = (name: string) => new URL(`../build/${name}`, import.meta.url);

interface Outcome {
	compileMs: number;
	totalMs: number;
	pageFaults: number;
	/** Of a page fault in this process, milliseconds. */
	faultMs: number;
}

if (process.argv[2] === "once") console.log(JSON.stringify(once()));
else report();

function once(): Outcome {
	const bytes = readFileSync(build("relaxed.wasm"));
	const image = readFileSync(build("assets/stories.bitskip"));
	const begun = usage();
	const module = new WebAssembly.Module(bytes);
	const compiled = usage();
	loadModel(module, image);
	const loaded = usage();

	// As many fresh pages as the image has, in a memory of their own.
	const pages = Math.ceil(image.length / 4096);
	const { buffer } = new WebAssembly.Memory({ initial: 256 });
	const memory = new Uint8Array(buffer);
	const before = usage();
	for (let page = 0; page < pages; page++) memory[page * 4096] = 1;
	const touched = usage();
	return {
		compileMs: compiled.ms - begun.ms,
		totalMs: loaded.ms - begun.ms,
		pageFaults: loaded.pageFaults - begun.pageFaults,
		faultMs:
			(touched.ms - before.ms) / (touched.pageFaults - before.pageFaults),
	};
}

function usage() {
	const { userCPUTime, systemCPUTime, minorPageFault } =
		process.resourceUsage();
	return {
		ms: (userCPUTime + systemCPUTime) / 1000,
		pageFaults: minorPageFault,
	};
}

function report(): void {
	const runs = Array.from({ length: PROCESSES }, () => {
		const self = [import.meta.filename, "once"];
		return JSON.parse(String(execFileSync(process.execPath, self))) as Outcome;
	});
	const cpu = cpus()[0]?.model ?? "unknown CPU";
	const of = (key: keyof Outcome) => median(runs.map((run) => run[key]));
	const result = {
		cpu,
		node: process.version,
		processes: PROCESSES,
		compileMs: of("compileMs"),
		totalMs: of("totalMs"),
		pageFaults: of("pageFaults"),
		faultMs: of("faultMs"),
		withoutFaultsMs: median(
			runs.map((run) => run.totalMs - run.pageFaults * run.faultMs),
		),
	};
	const ms = (key: keyof typeof result) => Number(result[key]).toFixed(1);
	console.log(
		`${cpu}; Node ${process.version}; medians of ${PROCESSES} processes, CPU ms of all threads\n` +
			`ready after ${ms("totalMs")}, of which compiling the module ${ms("compileMs")}; ` +
			`${result.pageFaults} page faults at ${(result.faultMs * 1000).toFixed(1)} us each; without them ${ms("withoutFaultsMs")}\n`,
	);
	console.log(JSON.stringify(result));
}
