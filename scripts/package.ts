/**
 * Builds the npm package into build/package. What only this repository needs stays out of its
 * package.json: npm would bring our copies of Node to everyone who installs it.
 */

import { spawnSync } from "node:child_process";
import {
	cpSync,
	mkdirSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from "node:fs";

const OUT = "build/package";

rmSync(OUT, { recursive: true, force: true });
mkdirSync(`${OUT}/build`, { recursive: true });
const { status } = spawnSync(
	process.execPath,
	[
		"node_modules/typescript/bin/tsc",
		"--project",
		"tsconfig.build.json",
		"--outDir",
		`${OUT}/dist`,
	],
	{ stdio: "inherit" },
);
if (status !== 0) process.exit(status ?? 1);
cpSync("src/wasm_module.d.ts", `${OUT}/dist/wasm_module.d.ts`);
for (const name of [
	"build/strict.wasm",
	"build/relaxed.wasm",
	"build/assets/stories.bitskip",
	"build/assets/stories.tokenizer.json",
	"docs",
	"README.md",
	"CHANGELOG.md",
	"LICENSE",
])
	cpSync(name, `${OUT}/${name}`, { recursive: true });
const {
	private: _private,
	scripts: _scripts,
	devDependencies: _devDependencies,
	optionalDependencies: _optionalDependencies,
	allowScripts: _allowScripts,
	scarfSettings: _scarfSettings,
	"size-limit": _sizeLimit,
	...manifest
} = JSON.parse(readFileSync("package.json", "utf8"));
writeFileSync(
	`${OUT}/package.json`,
	`${JSON.stringify(manifest, null, "\t")}\n`,
);
