/**
 * What Linux knows about the workerd that a benchmark started.
 *
 * @module
 */

import { readdir, readFile } from "node:fs/promises";

/** CPU time of all threads of a process so far: Linux's schedstat, in nanoseconds there. */
export async function cpuMs(pid: number): Promise<number> {
	let ms = 0;
	for (const thread of await readdir(`/proc/${pid}/task`)) {
		const line = await readFile(
			`/proc/${pid}/task/${thread}/schedstat`,
			"utf8",
		);
		ms += Number(line.split(" ")[0]) / 1e6;
	}
	return ms;
}

/** The workerd that a descendant of this process is, if /proc knows. */
export async function findWorkerd(): Promise<number | undefined> {
	return (await findWorkerds())[0];
}

/** All workerds below this process: wrangler starts one that computes and one that passes requests on. */
export async function findWorkerds(): Promise<number[]> {
	const parents = new Map<number, number>();
	const workerds: number[] = [];
	for (const name of await readdir("/proc").catch(() => [])) {
		const stat = await readFile(`/proc/${name}/stat`, "utf8").catch(() => "");
		const [, pid, command, parent] =
			/^(\d+) \((.*)\) \S (\d+)/.exec(stat) ?? [];
		parents.set(Number(pid), Number(parent));
		if (command === "workerd") workerds.push(Number(pid));
	}
	return workerds.filter((pid) => {
		for (let at: number | undefined = pid; at; at = parents.get(at))
			if (at === process.pid) return true;
		return false;
	});
}

/** Bytes of a process's memory that are in RAM. */
export async function residentBytes(pid: number): Promise<number> {
	const status = await readFile(`/proc/${pid}/status`, "utf8");
	return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
}
