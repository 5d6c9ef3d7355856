/**
 * Whether a change made it slower: two states of the repository, in one process, in alternating rounds.
 *
 *   npm run bench:compare -- <git ref> [other git ref] [--rounds 15] [--kernel dot8]
 *
 * Without the second ref the working tree is compared. Each ref is checked out into a temporary folder
 * and built there, with the packages installed here. The last line is JSON.
 */

import { execFileSync } from "node:child_process";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { KERNELS, type Kernel } from "../src/wasm.ts";
import { type Measurement, measureRound, median } from "./measure.ts";

const { values, positionals } = parseArgs({
	allowPositionals: true,
	options: {
		rounds: { type: "string", default: "15" },
		kernel: { type: "string", default: "dot8" },
	},
});
const [before, after] = positionals;
const rounds = Number(values.rounds);
const root = resolve(import.meta.dirname, "..");
const kernel = KERNELS.find((name) => name === values.kernel);
if (!before || !kernel || !(rounds >= 1))
	exit(
		`Usage: npm run bench:compare -- <git ref> [other git ref] [--rounds N] [--kernel ${KERNELS.join("|")}]`,
	);
for (const ref of positionals)
	try {
		git("rev-parse", "--verify", "--quiet", `${ref}^{commit}`);
	} catch {
		exit(`git knows no commit ${ref}`);
	}
const temporary = await mkdtemp(join(tmpdir(), "bitskip-compare-"));

function exit(message: string): never {
	console.error(message);
	process.exit(2);
}

function git(...args: string[]): string {
	return execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim();
}

/** A folder with the state that `ref` names, built. */
async function checkOut(ref: string, name: string): Promise<string> {
	const folder = join(temporary, name);
	git("worktree", "add", "--detach", "--quiet", folder, ref);
	await symlink(join(root, "node_modules"), join(folder, "node_modules"));
	process.stderr.write(`building ${ref}\n`);
	execFileSync(process.execPath, ["scripts/build.ts"], { cwd: folder });
	return folder;
}

async function load(folder: string, kernel: Kernel) {
	const { loadStories } = (await import(
		join(folder, "src/node.ts")
	)) as typeof import("../src/node.ts");
	return (await loadStories({ kernel })).model;
}

try {
	const models = [
		await load(await checkOut(before, "before"), kernel),
		await load(after ? await checkOut(after, "after") : root, kernel),
	];
	const measured: Measurement[][][] = models.map(() => []);
	// The first rounds compile and warm up. Who begins a round changes: the second finds a warmer cache.
	for (let round = -3; round < rounds; round++) {
		const order = round % 2 ? [0, 1] : [1, 0];
		for (const i of order) {
			const result = measureRound(models[i] as (typeof models)[number]);
			if (round >= 0) measured[i]?.push(result);
		}
		process.stderr.write(`\rround ${Math.max(round + 1, 0)} of ${rounds} `);
	}
	process.stderr.write("\n");
	const names = [before, after ?? "working tree"];
	console.log(
		`${cpus()[0]?.model}; Node ${process.version}; ${kernel}; medians of ${rounds} alternating rounds\n`,
	);
	console.log(
		`| exit at layer | | ${names.join(" | ")} | speed of the second over the first |`,
	);
	console.log("| - | - | - | - | - |");
	const [first = [], second = []] = measured;
	const result = (first[0] ?? []).flatMap(({ layer }, exit) =>
		(["decodeTokensPerSecond", "prefillTokensPerSecond"] as const).map(
			(key) => {
				const of = (runs: Measurement[][]) =>
					runs.map((run) => run[exit]?.[key] as number);
				const pairs = of(second).map((b, i) => b / (of(first)[i] as number));
				const speeds = [median(of(first)), median(of(second))];
				return { layer, key, speeds, ratio: median(pairs) };
			},
		),
	);
	for (const { layer, key, speeds, ratio } of result)
		console.log(
			`| ${layer} | ${key.replace("TokensPerSecond", ", tokens/s")} | ${speeds.map((speed) => speed.toFixed(0)).join(" | ")} | ${ratio.toFixed(3)} |`,
		);
	console.log(`\n${JSON.stringify({ names, kernel, rounds, result })}`);
} finally {
	await rm(temporary, { recursive: true, force: true });
	git("worktree", "prune");
}
