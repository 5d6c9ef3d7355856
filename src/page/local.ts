/**
 * Stories computed in this browser, by a Web Worker that is started when first needed.
 *
 * @module
 */

import type { TextPiece } from "../completion.ts";
import type { LoadMessage, StoryMessage } from "./messages.ts";
import type { StorySummary, Writer } from "./story.ts";

/** @param onLoad hears of the download, and then of the kernel that was chosen. */
export function createLocalWriter(
	onLoad: (message: LoadMessage) => void,
): Writer {
	let worker: Worker | undefined;
	const start = () => {
		const started = new Worker("/page/local.worker.js", { type: "module" });
		started.onmessage = ({ data }) => onLoad(data);
		return started;
	};
	return async function* (request, signal) {
		worker ??= start();
		const { port1, port2 } = new MessageChannel();
		const answers = new ReadableStream<TextPiece | StorySummary>({
			start(controller) {
				(worker as Worker).onerror = () => {
					worker = undefined;
					controller.error(
						new Error("the engine could not be started: reload the page"),
					);
				};
				port1.onmessage = ({ data }: MessageEvent<StoryMessage>) => {
					if (data.type === "piece") controller.enqueue(data.piece);
					else if (data.type === "done") controller.enqueue(data.summary);
					else controller.error(new Error(data.message));
				};
				signal.addEventListener("abort", () => {
					controller.error(signal.reason);
				});
			},
		});
		worker.postMessage(request, [port2]);
		try {
			for await (const answer of answers) {
				if ("finishReason" in answer) return answer;
				yield answer;
			}
			throw new Error("the engine ended before the story did");
		} finally {
			port1.postMessage("cancel");
			port1.close();
		}
	};
}
