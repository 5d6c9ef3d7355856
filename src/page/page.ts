/**
 * The page: its form asks for a story, its other half shows it.
 *
 * @module
 */

import type { ExitOptions } from "../exit.ts";
import { Display } from "./display.ts";
import { element } from "./dom.ts";
import { writeOnEdge } from "./edge.ts";
import { createLocalWriter } from "./local.ts";
import { manifest } from "./manifest.ts";
import { KeyError, type StoryRequest, type Writer } from "./story.ts";

const form = element("form", HTMLFormElement);
const prompt = element("prompt", HTMLTextAreaElement);
const write = element("write", HTMLButtonElement);
const cancel = element("cancel", HTMLButtonElement);
const key = element("key", HTMLInputElement);
const [layer, threshold, budget, temperature, tokens, seed] = [
	"layer",
	"threshold",
	"budget",
	"temperature",
	"tokens",
	"seed",
].map((id) => element(id, HTMLInputElement)) as [
	HTMLInputElement,
	HTMLInputElement,
	HTMLInputElement,
	HTMLInputElement,
	HTMLInputElement,
	HTMLInputElement,
];

const display = new Display(manifest.exits);
const writers: Record<string, Writer> = {
	edge: writeOnEdge,
	local: createLocalWriter((message) => display.load(message)),
};
let running: AbortController | undefined;

layer.max = String(manifest.exits.length - 1);
layer.value = String(manifest.exits.length - 2);
tokens.max = String(manifest.maxSeqLen - 1);
form.addEventListener("input", showSettings);
showSettings();

form.addEventListener("submit", (event) => {
	event.preventDefault();
	run();
});
cancel.addEventListener("click", stop);
element("another", HTMLButtonElement).addEventListener("click", () => {
	seed.value = String(crypto.getRandomValues(new Uint32Array(1))[0]);
});
addEventListener("keydown", (event) => {
	if (event.key === "Escape") stop();
	const isSend = event.key === "Enter" && (event.ctrlKey || event.metaKey);
	if (isSend && event.target === prompt) form.requestSubmit();
});

/** The value of the checked radio button `name`. */
function chosen(name: string): string {
	return new FormData(form).get(name) as string;
}

function exitOptions(): ExitOptions {
	switch (chosen("policy")) {
		case "layer":
			return {
				exit: "layer",
				layer: manifest.exits[layer.valueAsNumber] as number,
			};
		case "gate":
			return { exit: "gate", threshold: threshold.valueAsNumber };
		case "budget":
			return { exit: "budget", budgetMacs: budget.valueAsNumber * 1e6 };
		default:
			return { exit: "full" };
	}
}

/** Shows the slider of the chosen policy, and each slider's value in words. */
function showSettings(): void {
	const policy = chosen("policy");
	for (const row of form.querySelectorAll<HTMLElement>("[data-policy]"))
		row.hidden = row.dataset.policy !== policy;
	say(
		layer,
		`${manifest.exits[layer.valueAsNumber]} of ${manifest.exits.at(-1)}`,
	);
	say(threshold, threshold.value);
	say(budget, `${budget.value} million MACs`);
	say(temperature, temperature.value);
}

function say(slider: HTMLInputElement, text: string): void {
	const output = form.querySelector(`output[for="${slider.id}"]`);
	if (output) output.textContent = text;
	slider.setAttribute("aria-valuetext", text);
}

function stop(): void {
	running?.abort(new Error("cancelled"));
}

async function run(): Promise<void> {
	if (running) return;
	running = new AbortController();
	const { signal } = running;
	const request: StoryRequest = {
		prompt: prompt.value,
		maxTokens: tokens.valueAsNumber,
		temperature: temperature.valueAsNumber,
		seed: seed.valueAsNumber,
		exit: exitOptions(),
		key: key.value.trim(),
	};
	const where = chosen("where");
	write.disabled = true;
	cancel.disabled = false;
	display.begin(request, where === "edge" ? "on the edge" : "in this browser");
	try {
		const pieces = (writers[where] as Writer)(request, signal);
		let next = await pieces.next();
		for (; !next.done; next = await pieces.next()) display.add(next.value);
		display.end(next.value);
	} catch (error) {
		if (signal.aborted) display.cancelled();
		else display.fail((error as Error).message);
		if (error instanceof KeyError) {
			element("key-row", HTMLElement).hidden = false;
			key.focus();
		}
	} finally {
		running = undefined;
		write.disabled = false;
		cancel.disabled = true;
	}
}
