/**
 * The half of the page that shows a story, its work and where it is.
 *
 * @module
 */

import type { TextPiece } from "../completion.ts";
import { element } from "./dom.ts";
import type { LoadMessage } from "./messages.ts";
import type { StoryRequest, StorySummary } from "./story.ts";

export class Display {
	readonly #story = element("story", HTMLParagraphElement);
	readonly #status = element("status", HTMLParagraphElement);
	readonly #error = element("error", HTMLParagraphElement);
	readonly #download = element("download", HTMLDivElement);
	readonly #downloadBar = element("download-bar", HTMLProgressElement);
	readonly #workLabel = element("work-label", HTMLLabelElement);
	readonly #workBar = element("work-bar", HTMLProgressElement);
	readonly #work = element("work", HTMLOutputElement);
	readonly #depths: Depth[];
	/** What may be spent, MACs; none for policies without a budget. */
	#budget: number | undefined;
	#tokens = 0;
	#where = "";
	#kernel = "";
	#begun = 0;
	#first = 0;

	/** @param exits the depths at which tokens may leave, ascending. */
	constructor(exits: readonly number[]) {
		const list = element("depths", HTMLUListElement);
		this.#depths = exits.map(
			(layer, i) => new Depth(list, layer, i / Math.max(1, exits.length - 1)),
		);
	}

	/** Clears what was and shows the prompt. @param where the words for it. */
	begin({ prompt, exit, maxTokens }: StoryRequest, where: string): void {
		this.#budget = exit.exit === "budget" ? exit.budgetMacs : undefined;
		this.#tokens = 0;
		this.#where = where;
		this.#begun = performance.now();
		this.#story.textContent = prompt;
		this.#story.ariaBusy = "true";
		// On a phone the form is above.
		this.#story.scrollIntoView({ block: "nearest" });
		this.#error.textContent = "";
		this.#status.textContent = `Writing ${where} …`;
		this.#workLabel.textContent = this.#budget
			? "of the budget"
			: "of full depth";
		this.#showWork(0, 0);
		for (const depth of this.#depths) depth.reset(maxTokens);
	}

	/** The state of the download, and the kernel in use from then on. */
	load(message: LoadMessage): void {
		if (message.type === "ready") {
			this.#kernel = message.kernel;
			this.#download.hidden = true;
			this.#begun = performance.now();
			return;
		}
		const { loaded, total } = message;
		this.#download.hidden = false;
		this.#downloadBar.value = loaded / total;
	}

	add({ text, exitLayer, macs, macsFull }: TextPiece): void {
		if (exitLayer === undefined) {
			this.#story.append(text);
			return;
		}
		if (this.#tokens === 0) this.#first = performance.now();
		this.#tokens++;
		const depth = this.#depths.find(({ layer }) => layer === exitLayer);
		if (depth) this.#story.append(depth.token(text));
		this.#showWork(macs, macsFull);
	}

	end({ finishReason, budgetExhausted, macs, macsFull }: StorySummary): void {
		this.#showWork(macs, macsFull);
		const end = budgetExhausted
			? "the budget is spent"
			: finishReason === "stop"
				? "the story is over"
				: "as long as asked for";
		const now = performance.now();
		const rate = (this.#tokens - 1) / ((now - this.#first) / 1000);
		const kernel = this.#where.includes("browser")
			? `, kernel ${this.#kernel}`
			: "";
		this.#finish(
			`${this.#tokens} tokens ${this.#where}: ${end}. ${(now - this.#begun).toFixed(0)} ms` +
				(Number.isFinite(rate) ? `, ${rate.toFixed(0)} tokens a second` : "") +
				`${kernel}; ${percent(macs / macsFull)} of full depth's work.`,
		);
	}

	cancelled(): void {
		this.#finish(`Cancelled after ${this.#tokens} tokens.`);
	}

	fail(message: string): void {
		this.#error.textContent = message;
		this.#finish("");
	}

	#finish(status: string): void {
		this.#download.hidden = true;
		this.#story.ariaBusy = "false";
		this.#status.textContent = status;
	}

	#showWork(macs: number, macsFull: number): void {
		const whole = this.#budget ?? macsFull;
		this.#workBar.value = whole > 0 ? macs / whole : 0;
		this.#work.textContent = `${millions(macs)} of ${millions(whole)}`;
	}
}

/** The bar of the tokens that left at one depth. */
class Depth {
	readonly layer: number;
	readonly #depth: string;
	readonly #bar = document.createElement("progress");
	readonly #count = document.createElement("output");
	#tokens = 0;

	/** @param depth of the layer, from 0, the shallowest exit, to 1. */
	constructor(list: HTMLUListElement, layer: number, depth: number) {
		this.layer = layer;
		this.#depth = String(depth);
		const label = document.createElement("label");
		label.append(this.#colored("swatch", `layer ${layer}`));
		this.#bar.id = `depth-${layer}`;
		this.#count.ariaLive = "off";
		label.htmlFor = this.#bar.id;
		const row = document.createElement("li");
		row.append(label, this.#bar, this.#count);
		list.append(row);
		this.reset(1);
	}

	reset(max: number): void {
		this.#tokens = 0;
		this.#bar.max = max;
		this.#show();
	}

	/** A token in the colour of its depth, counted. */
	token(text: string): HTMLElement {
		this.#tokens++;
		this.#show();
		const token = this.#colored("token", text);
		token.title = `left at layer ${this.layer}`;
		return token;
	}

	#show(): void {
		this.#bar.value = this.#tokens;
		this.#count.textContent = `${this.#tokens} tokens`;
	}

	#colored(kind: string, text: string): HTMLElement {
		const span = document.createElement("span");
		span.className = kind;
		span.style.setProperty("--depth", this.#depth);
		span.textContent = text;
		return span;
	}
}

function millions(macs: number): string {
	return (macs / 1e6).toFixed(0);
}

function percent(ratio: number): string {
	return `${(ratio * 100).toFixed(0)} %`;
}
