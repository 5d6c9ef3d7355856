/**
 * Our strict build in a local workerd, measured like a peer.
 *
 * @module
 */

import { startWorker } from "../../scripts/wrangler.ts";
import { cpuMs, findWorkerds } from "../workerd.ts";
import { undisturbed } from "./process.ts";
import type { Round } from "./session.ts";

const PORT = 9200;

export async function startWorkerdPeer(image: Uint8Array<ArrayBuffer>) {
	const worker = await startWorker({
		config: "bench/peers/wrangler.toml",
		port: PORT,
		ready: "/",
	});
	const round = async (body?: Uint8Array<ArrayBuffer>): Promise<Round> => {
		const answer = await fetch(
			worker.url,
			body ? { method: "POST", body } : {},
		);
		if (!answer.ok)
			throw new Error(`the Worker: ${answer.status} ${await answer.text()}`);
		return (await answer.json()) as Round;
	};
	await round(image);
	const pids = await findWorkerds();
	const cpu = async () =>
		(await Promise.all(pids.map(cpuMs))).reduce((sum, ms) => sum + ms, 0);
	return {
		stop: () => worker.stop(),
		/** CPU time is /proc's; where there is none, the share is 1 unproved. */
		measure: () =>
			undisturbed(async () => {
				const before = await cpu();
				const begun = performance.now();
				const result = await round();
				const wall = performance.now() - begun;
				const cpuShare = pids.length > 0 ? ((await cpu()) - before) / wall : 1;
				return { ...result, cpuShare };
			}),
	};
}
