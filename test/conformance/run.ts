/**
 * The golden cases in every runtime that is to be had, through the installed package, and by hosts of the raw
 * ABI.
 *
 *   npm run conformance [-- name ...]     only runtimes whose names begin so
 *
 * Fails where any of them says something else, or a runtime named on the command line is missing.
 */

import { spawnSync } from "node:child_process";
import { cpSync } from "node:fs";
import { installPackage } from "../../scripts/install_package.ts";
import { runtimes } from "./runtimes.ts";

const wanted = process.argv.slice(2);
const folder = import.meta.dirname;
process.stderr.write("installing runtimes (Node 20 and 22, Deno, Bun)\n");
const { status } = spawnSync("npm", ["ci", "--no-audit", "--no-fund"], {
	cwd: folder,
	stdio: ["ignore", "ignore", "inherit"],
	timeout: 180_000,
});
if (status !== 0)
	console.error(
		"npm could not install them: those that are missing are skipped",
	);
process.stderr.write("installing the package in an empty project\n");
const { project, remove } = installPackage();

const rows: string[][] = [];
let isWrong = false;
try {
	cpSync(`${folder}/project`, project, { recursive: true });
	for (const { name, kernels, missing, run } of await runtimes()) {
		const isWanted = wanted.some((word) =>
			name.toLowerCase().startsWith(word.toLowerCase()),
		);
		if (wanted.length > 0 && !isWanted) continue;
		if (missing) {
			rows.push([name, "", kernels.join(", "), `skipped: ${missing}`, ""]);
			isWrong ||= isWanted;
			continue;
		}
		process.stderr.write(`${name} ...`);
		try {
			const { version, results } = await run(project);
			for (const kernel of kernels) {
				const result = results.find((result) => result.kernel === kernel);
				const faults = result?.faults ?? ["no answer"];
				isWrong ||= faults.length > 0;
				const seconds = ((result?.ms ?? 0) / 1000).toFixed(1);
				rows.push([name, version, kernel, faults[0] ?? "the same", seconds]);
			}
			process.stderr.write(" done\n");
		} catch (error) {
			isWrong = true;
			process.stderr.write(" failed\n");
			rows.push([name, "", kernels.join(", "), String(error), ""]);
		}
	}
} finally {
	remove();
}
console.log(
	"| runtime | version | kernel | against the golden tokens | seconds |",
);
console.log("| - | - | - | - | - |");
for (const row of rows) console.log(`| ${row.join(" | ")} |`);
process.exit(isWrong ? 1 : 0);
