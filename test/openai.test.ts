import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";
import OpenAI from "openai";
import { describe, expect, it } from "vitest";
import { modules } from "#modules";
import { createEngine } from "../src/engine.ts";
import { createApp } from "../src/http/app.ts";
import { createTokenizer } from "../src/tokenizer.ts";
import { loadModel } from "../src/wasm.ts";
import { readFile, readGoldenStory, readText } from "./support/files.ts";

const tokenizer = createTokenizer(
	readText("build/assets/stories.tokenizer.json"),
);
const model = loadModel(
	modules.strict,
	readFile("build/assets/stories.bitskip"),
);
const engine = createEngine(model);
const app = createApp(async () => ({
	modelId: "bitskip-stories",
	engine,
	tokenizer,
}));
const fetchApp = async (url: string | URL | Request, init?: RequestInit) =>
	app.fetch(new Request(url, init));
const common = { baseURL: "https://edge.test/v1", apiKey: "none" };
const client = new OpenAI({ ...common, fetch: fetchApp, maxRetries: 0 });
const golden = readGoldenStory();
const greedy = {
	model: "bitskip-stories",
	prompt: golden.prompt,
	max_tokens: golden.max_tokens,
	temperature: 0,
};

describe("the openai package", () => {
	it("completes, whole and streaming", async () => {
		const whole = await client.completions.create(greedy);
		expect(whole.choices[0]?.text).toBe(golden.story);
		expect(whole.usage).toMatchObject({
			completion_tokens: golden.max_tokens,
			total_tokens: golden.max_tokens + (whole.usage?.prompt_tokens as number),
		});
		const stream = await client.completions.create({
			...greedy,
			stream: true,
			stream_options: { include_usage: true },
		});
		let text = "";
		let usage: unknown;
		for await (const chunk of stream) {
			text += chunk.choices[0]?.text ?? "";
			usage = chunk.usage ?? usage;
		}
		expect(text).toBe(golden.story);
		expect(usage).toEqual({
			...whole.usage,
			prompt_tokens_details: { cached_tokens: expect.any(Number) },
		});
	});

	it("chats: a turn goes on where the story stands", async () => {
		const halves = golden.story.match(/^(.*?\.)\s+(.*)$/s);
		const [, first = "", second = ""] = halves ?? [];
		const chat = {
			model: "bitskip-stories",
			temperature: 0,
			max_tokens: 12,
			messages: [
				{ role: "system" as const, content: "You are a pirate." },
				{ role: "user" as const, content: golden.prompt + first },
			],
		};
		const whole = await client.chat.completions.create(chat);
		const message = whole.choices[0]?.message;
		expect(message).toEqual({
			role: "assistant",
			content: expect.any(String),
			refusal: null,
		});
		expect(second.trim().startsWith(message?.content?.trim() ?? "-")).toBe(
			true,
		);
		const runner = client.chat.completions.stream(chat);
		const streamed = await runner.finalChatCompletion();
		expect(streamed.choices[0]?.message.content).toBe(message?.content);
	});

	it("runs only what is new in a chat's second turn", async () => {
		const ask = (messages: OpenAI.ChatCompletionMessageParam[]) =>
			client.chat.completions.create({
				model: "bitskip-stories",
				temperature: 0,
				max_tokens: 20,
				messages,
			});
		const first = [{ role: "user" as const, content: "Ben had a red kite." }];
		const { choices, usage } = await ask(first);
		const said = choices[0]?.message.content as string;
		const { usage: second } = await ask([
			...first,
			{ role: "assistant", content: said },
			{ role: "user", content: "Then it rained." },
		]);
		const held = (usage?.total_tokens as number) - 1;
		// Text cut elsewhere may be other tokens: at the seam a few run again.
		expect(second?.prompt_tokens_details?.cached_tokens).toBeGreaterThan(
			held - 4,
		);
	});

	it("gives choices, each with a seed of its own, for each prompt", async () => {
		const ask = (seed: number, n: number) =>
			client.completions.create({
				model: "bitskip-stories",
				prompt: ["One day", "Tom"],
				max_tokens: 12,
				echo: true,
				seed,
				n,
			});
		const { choices, usage } = await ask(5, 2);
		expect(choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
		expect(choices.map(({ text }) => text.slice(0, 3))).toEqual([
			"One",
			"One",
			"Tom",
			"Tom",
		]);
		expect(choices[0]?.text).not.toBe(choices[1]?.text);
		expect((await ask(5, 2)).choices).toEqual(choices);
		const prompts = ["One day", "Tom"].map(
			(text) => tokenizer.encode(text).length + 1,
		);
		expect(usage?.prompt_tokens).toBe(prompts.reduce((a, b) => a + b));
	});

	it("tells log-probabilities: of what was picked, and the likeliest", async () => {
		const { choices } = await client.completions.create({
			...greedy,
			max_tokens: 8,
			logprobs: 3,
		});
		const logprobs = choices[0]?.logprobs;
		expect(logprobs?.tokens?.join("")).toBe(choices[0]?.text);
		logprobs?.tokens?.forEach((token, i) => {
			const top = logprobs.top_logprobs?.[i] ?? {};
			expect(Object.keys(top)).toHaveLength(3);
			// At temperature 0 the token picked is the likeliest.
			const best = Math.max(...Object.values(top));
			expect(logprobs.token_logprobs?.[i]).toBe(best);
			expect(top[token]).toBe(best);
			const mass = Object.values(top).reduce((sum, p) => sum + Math.exp(p), 0);
			expect(mass).toBeLessThan(1);
		});
		expect(logprobs?.text_offset?.[1]).toBe(logprobs?.tokens?.[0]?.length);

		const chat = await client.chat.completions.create({
			model: "bitskip-stories",
			messages: [{ role: "user", content: golden.prompt }],
			temperature: 0,
			max_completion_tokens: 8,
			logprobs: true,
			top_logprobs: 2,
		});
		const content = chat.choices[0]?.logprobs?.content ?? [];
		expect(content.map(({ token }) => token)).toEqual(logprobs?.tokens);
		expect(content[0]?.logprob).toBe(logprobs?.token_logprobs?.[0]);
		expect(content.every((token) => token.top_logprobs.length === 2)).toBe(
			true,
		);
	});

	it("takes token ids for text", async () => {
		const { choices } = await client.completions.create({
			...greedy,
			prompt: tokenizer.encode(golden.prompt),
		});
		expect(choices[0]?.text).toBe(golden.story);
	});

	it("a presence penalty keeps tokens from coming back", async () => {
		const { choices } = await client.completions.create({
			...greedy,
			max_tokens: 40,
			presence_penalty: 2,
			frequency_penalty: 2,
			logprobs: 0,
		});
		const tokens = choices[0]?.logprobs?.tokens ?? [];
		const plain = tokenizer.encode(golden.story).slice(0, 40);
		expect(new Set(tokens).size).toBeGreaterThan(new Set(plain).size);
	});

	it("lists the model, and knows it by its name", async () => {
		const list = await client.models.list();
		expect(list.data.map(({ id }) => id)).toEqual(["bitskip-stories"]);
		const one = await client.models.retrieve("bitskip-stories");
		expect(one).toEqual(list.data[0]);
		await expect(client.models.retrieve("gpt-5")).rejects.toMatchObject({
			status: 404,
			code: "model_not_found",
			param: "model",
		});
	});

	it("gets errors as its own kinds", async () => {
		const bad = { ...greedy, temperature: 9 };
		await expect(client.completions.create(bad)).rejects.toThrow(
			OpenAI.BadRequestError,
		);
		await expect(
			client.completions.create({ ...greedy, prompt: [1, 99999] }),
		).rejects.toMatchObject({ status: 400, param: "prompt" });
	});
});

describe("the AI SDK", () => {
	const provider = createOpenAICompatible({
		...common,
		name: "bitskip",
		fetch: fetchApp,
		includeUsage: true,
	});

	it("generates and streams text", async () => {
		const options = {
			model: provider("bitskip-stories"),
			prompt: golden.prompt,
			temperature: 0,
			maxOutputTokens: golden.max_tokens,
		};
		const { text, usage, finishReason } = await generateText(options);
		expect(text).toBe(golden.story);
		expect(usage.outputTokens).toBe(golden.max_tokens);
		expect(finishReason).toBe("length");
		const result = streamText(options);
		expect(await result.text).toBe(golden.story);
	});

	it("reaches the exits by provider options", async () => {
		const { response } = await generateText({
			model: provider("bitskip-stories"),
			prompt: golden.prompt,
			maxOutputTokens: 5,
			providerOptions: { bitskip: { bitskip: { exit: "layer", layer: 6 } } },
		});
		expect(response.body).toMatchObject({
			bitskip: { policy: "layer", exit_layers: { 6: 5 } },
		});
	});
});

describe("/tokenize and /detokenize", () => {
	const post = async (path: string, body: object) =>
		fetchApp(`https://edge.test${path}`, {
			method: "POST",
			body: JSON.stringify(body),
		});

	it("are inverse to each other, for any text", async () => {
		for (const content of ["Once upon", "", "Zoë 🦊 <|endoftext|>", "\0\n"]) {
			const { tokens } = await (await post("/tokenize", { content })).json();
			const back = await (await post("/detokenize", { tokens })).json();
			expect(back).toEqual({ content });
		}
	});

	it("tell the begin token and the pieces where asked", async () => {
		const body = { content: "Once", add_special: true, with_pieces: true };
		const { tokens } = await (await post("/tokenize", body)).json();
		expect(tokens[0]).toEqual({ id: 0, piece: "" });
		const pieces = tokens.map(({ piece }: { piece: string }) => piece);
		expect(pieces.join("")).toBe("Once");
	});

	it("refuse what is no token", async () => {
		const response = await post("/detokenize", { tokens: [1, 5000] });
		expect(response.status).toBe(400);
		expect((await response.json()).error).toMatchObject({
			message: "there is no token 5000",
			param: "tokens.1",
		});
	});
});
