/**
 * One peer in a process of its own. Its first message is the job; each one after it asks for a round, or
 * for the logits after a prompt. Answers are messages too.
 */

import { type Job, measureSession, prompt, type Runner } from "./session.ts";

export type Request = { job: Job } | { ask: "round" | "logits" };

let session: Awaited<ReturnType<Runner["open"]>>;
let job: Job;

async function answer(request: Request): Promise<object> {
	if ("job" in request) {
		job = request.job;
		const { open, files } = (await import(
			`./runners/${job.runner}.ts`
		)) as Runner;
		const before = process.memoryUsage().rss;
		session = await open(job);
		await measureSession(session, job.vocabSize);
		return {
			files: files(job),
			memoryBytes: process.memoryUsage().rss - before,
		};
	}
	if (request.ask === "logits") {
		await session.prefill(prompt(job.vocabSize));
		return { logits: Array.from(await session.logits()) };
	}
	const cpu = process.cpuUsage();
	const begun = performance.now();
	const round = await measureSession(session, job.vocabSize);
	const wallMs = performance.now() - begun;
	const { user, system } = process.cpuUsage(cpu);
	return { ...round, cpuShare: (user + system) / 1000 / wallMs };
}

process.on("message", (request: Request) => {
	answer(request).then(
		(result) => process.send?.(result),
		(error: unknown) =>
			process.send?.({
				error: error instanceof Error ? error.message : String(error),
			}),
	);
});
process.on("disconnect", () => process.exit());
