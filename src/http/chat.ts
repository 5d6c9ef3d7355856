/**
 * Chats for a model that only goes on with stories.
 *
 * @module
 */

import type { Message } from "./request.ts";

/**
 * The story that a chat has told so far: what user and assistant said, in their order, one after the other.
 * A space comes between two messages unless white space is there. System messages are left out: the model
 * has never seen an instruction, and would take it for a story's beginning.
 */
export function chatPrompt(messages: readonly Message[]): string {
	let story = "";
	for (const { role, content } of messages) {
		if (role === "system" || role === "developer") continue;
		const isApart = story === "" || /\s$/.test(story) || /^\s/.test(content);
		story += isApart ? content : ` ${content}`;
	}
	return story;
}
