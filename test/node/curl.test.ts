import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type LocalWorker, startWorker } from "../../scripts/wrangler.ts";
import { readGoldenStory } from "../support/files.ts";

const run = promisify(execFile);
const { prompt, max_tokens, story } = readGoldenStory();

let worker: LocalWorker;
beforeAll(async () => {
	worker = await startWorker({ port: 8795, ready: "/health" });
}, 60_000);
afterAll(() => worker?.stop());

async function curl(path: string, ...args: string[]): Promise<string> {
	return (await run("curl", ["-sSN", worker.url + path, ...args])).stdout;
}

it("curl gets the golden story, with a body that curl calls a form", async () => {
	const body = { prompt, max_tokens, temperature: 0 };
	const answer = await curl("/v1/completions", "-d", JSON.stringify(body));
	expect(JSON.parse(answer).choices[0].text).toBe(story);
});

it("curl gets a chat's stream, for a body of unknown length", async () => {
	const body = {
		messages: [{ role: "user", content: prompt }],
		max_tokens,
		temperature: 0,
		stream: true,
	};
	const chunked = ["-H", "transfer-encoding: chunked"];
	const data = ["-d", JSON.stringify(body)];
	const answer = await curl("/v1/chat/completions", ...chunked, ...data);
	const events = answer.trimEnd().split("\n\n");
	expect(events.pop()).toBe("data: [DONE]");
	const chunks = events.map((event) => JSON.parse(event.slice(6)));
	expect(chunks[0].choices[0].delta.role).toBe("assistant");
	const pieces = chunks.map((chunk) => chunk.choices[0].delta.content ?? "");
	expect(pieces.join("")).toBe(story);
});
