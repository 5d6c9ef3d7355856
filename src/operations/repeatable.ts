/**
 * Completions by GET: those that come out the same each time, so that caches may keep them.
 *
 * @module
 */

import { sha256 } from "hono/utils/crypto";
import { ApiError } from "../http/error.ts";

/** Parameters that are text even where it looks like a number. */
const TEXTS = new Set(["model", "prompt", "stop", "suffix", "user"]);
/** Parameters that a body has under `bitskip`. */
const EXIT = [
	"exit",
	"layer",
	"threshold",
	"skipped",
	"budget_macs",
	"budget_ms",
];
/** Seconds that an answer is kept. A deployment's caches end with it; a browser's do not know of it. */
const MAX_AGE = 86_400;

/** Headers that belong to one request, or to who asked. */
const OF_ONE_REQUEST =
	/^(access-control-.*|server-timing|set-cookie|vary|x-request-id)$/;

/** A completion that can be asked for again. */
export interface Repeatable {
	/** The body of the POST request that asks for the same. */
	body: Record<string, unknown>;
	/** Where caches keep it: the same for the same question, however its parameters are ordered. */
	url: string;
	/** Weak: the same text each time, but not always the same MACs spent or id. */
	etag: string;
}

/**
 * Reads the query `url` has.
 * @param version the deployment: another may answer otherwise.
 * @throws ApiError 400 where the answer would differ from time to time.
 */
export async function readRepeatable(
	url: string,
	version: string,
): Promise<Repeatable> {
	const { origin, pathname, searchParams } = new URL(url);
	const body: Record<string, unknown> = {};
	const bitskip: Record<string, unknown> = {};
	for (const name of new Set(searchParams.keys())) {
		const values = searchParams.getAll(name);
		if (values.length > 1 && name !== "stop")
			throw new ApiError(400, `${name} is given ${values.length} times`, {
				param: name,
			});
		const value = values.length > 1 ? values : parse(name, values[0] as string);
		(EXIT.includes(name) ? bitskip : body)[name] = value;
	}
	if (Object.keys(bitskip).length > 0) body.bitskip = bitskip;
	if (body.stream)
		throw new ApiError(400, "a GET does not stream: use POST", {
			param: "stream",
		});
	if (body.temperature !== 0 && body.seed === undefined)
		throw new ApiError(
			400,
			"a GET is for completions that come out the same each time: give a seed, or temperature=0, or use POST",
			{ param: "seed" },
		);
	searchParams.sort();
	searchParams.append("deployment", version);
	const canonical = `${origin}${pathname}?${searchParams}`;
	const hash = await sha256(canonical);
	return { body, url: canonical, etag: `W/"${hash?.slice(0, 32)}"` };
}

function parse(name: string, text: string): unknown {
	if (TEXTS.has(name)) return text;
	if (/^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text)) return Number(text);
	return text === "true" || (text === "false" ? false : text);
}

/** Whether the client has it: RFC 9110's weak comparison with If-None-Match. */
export function isFresh(ifNoneMatch: string | undefined, etag: string) {
	const opaque = (tag: string) => tag.trim().replace(/^W\//, "");
	return (ifNoneMatch ?? "")
		.split(",")
		.some((tag) => opaque(tag) === opaque(etag));
}

/**
 * Headers of an answer. What was given for a key is for those who have it: caches on the way must not show
 * it to others, and a browser not after its key has changed.
 */
export function cacheHeaders(etag: string, hasKeys: boolean) {
	return {
		ETag: etag,
		"Cache-Control": `${hasKeys ? "private" : "public"}, max-age=${MAX_AGE}`,
		...(hasKeys && { Vary: "Authorization" }),
	};
}

/**
 * The data centre's own cache, behind the check of keys. Undefined where there is none, as in Node.
 * Cloudflare vouches for it on custom domains only.
 */
function edgeCache(): Cache | undefined {
	const { caches } = globalThis as { caches?: { default?: Cache } };
	return caches?.default;
}

/** What the edge has. */
export async function lookUp(url: string): Promise<Response | undefined> {
	return edgeCache()?.match(url);
}

/** Keeps a copy of an answer at the edge, without what belongs to its one request. */
export async function keep(url: string, answer: Response): Promise<void> {
	const headers = new Headers(answer.headers);
	for (const name of [...headers.keys()])
		if (OF_ONE_REQUEST.test(name)) headers.delete(name);
	headers.set("Cache-Control", `public, max-age=${MAX_AGE}`);
	await edgeCache()?.put(url, new Response(answer.body, { headers }));
}
