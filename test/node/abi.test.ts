import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { modules } from "#modules";

describe.each(["strict", "relaxed"] as const)("%s.wasm", (build) => {
	it("exports what docs/abi.md has, and imports nothing", () => {
		const { Module } = WebAssembly;
		const rows = readFileSync("docs/abi.md", "utf8").matchAll(/^\| `(\w+)/gm);
		const documented = [...rows].map((row) => row[1]);
		const exported = Module.exports(modules[build]).map(({ name }) => name);
		expect(exported.sort()).toEqual(documented.sort());
		expect(Module.imports(modules[build])).toEqual([]);
	});
});
