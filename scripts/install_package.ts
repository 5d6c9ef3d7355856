/**
 * The package as its users get it: the tarball of build/package alone, in an empty project.
 *
 * @module
 */

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

export interface Installed {
	/** The project's folder. */
	project: string;
	tarball: string;
	/** Runs a command in the project, shows what it complains of, returns what it says. */
	run(command: string, args: string[]): string;
	remove(): void;
}

/** Packs build/package and installs it. */
export function installPackage(): Installed {
	const project = mkdtempSync(join(tmpdir(), "bitskip-"));
	const run = (command: string, args: string[]) =>
		execFileSync(command, args, {
			cwd: project,
			encoding: "utf8",
			stdio: ["ignore", "pipe", "inherit"],
		});
	const remove = () => rmSync(project, { recursive: true });
	try {
		const pack = ["pack", resolve("build/package"), "--json"];
		const [{ filename }] = JSON.parse(run("npm", pack));
		writeFileSync(
			join(project, "package.json"),
			JSON.stringify({ type: "module", private: true }),
		);
		run("npm", ["install", "--no-audit", "--no-fund", filename]);
		return { project, tarball: join(project, filename), run, remove };
	} catch (error) {
		remove();
		throw error;
	}
}
