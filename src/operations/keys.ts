/**
 * Bearer keys.
 *
 * @module
 */

import { timingSafeEqual } from "hono/utils/buffer";
import { sha256 } from "hono/utils/crypto";
import { ApiError } from "../http/error.ts";
import { ANONYMOUS } from "./account.ts";

/** As much of a key's hash as tells a deployment's keys apart, and tells nothing of the key. */
const NAME_LENGTH = 8;

/**
 * The name, for logs and limits, of the client whose key the header bears.
 * @param keys those that are valid; with none, everybody is ANONYMOUS.
 * @throws ApiError 401 where the header is missing or its key is none of them.
 */
export async function identify(
	authorization: string | undefined,
	keys: readonly string[],
): Promise<string> {
	if (keys.length === 0) return ANONYMOUS;
	const key = /^bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
	if (key === undefined)
		throw new ApiError(
			401,
			"no API key: send the header `Authorization: Bearer <key>`",
		);
	// All of them, always: where it stopped would tell which one was right.
	const matches = await Promise.all(
		keys.map((valid) => timingSafeEqual(valid, key)),
	);
	if (!matches.includes(true))
		throw new ApiError(401, "the API key is not valid here", {
			code: "invalid_api_key",
		});
	return `key-${(await sha256(key))?.slice(0, NAME_LENGTH)}`;
}
