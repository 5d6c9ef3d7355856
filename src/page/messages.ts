/**
 * What the page and its Web Worker say to each other. A story is asked for by a StoryRequest and a port of
 * its own, so that what a cancelled one still says reaches nobody. Any message on the port cancels.
 *
 * @module
 */

import type { TextPiece } from "../completion.ts";
import type { StorySummary } from "./story.ts";

/** On a story's port. */
export type StoryMessage =
	| { type: "piece"; piece: TextPiece }
	| { type: "done"; summary: StorySummary }
	| { type: "failed"; message: string };

/** From the Worker itself, while it loads. */
export type LoadMessage =
	/** Bytes so far. */
	| { type: "download"; loaded: number; total: number }
	| { type: "ready"; kernel: string };
