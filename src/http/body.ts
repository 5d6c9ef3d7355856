/**
 * Bodies of requests: their size, their JSON, and what is wrong with them.
 *
 * @module
 */

import type { z } from "@hono/zod-openapi";
import type { MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { ApiError } from "./error.ts";

/** Largest body, bytes: many times what the context can hold. */
const MAX_BODY = 64 * 1024;

const limit = bodyLimit({
	maxSize: MAX_BODY,
	onError: () => {
		throw new ApiError(413, `the body is larger than ${MAX_BODY} bytes`);
	},
});

/** `curl -d` calls JSON a form, and the validator would refuse it. */
const callJson: MiddlewareHandler = async (c, next) => {
	const headers = new Headers(c.req.raw.headers);
	headers.set("content-type", "application/json");
	c.req.raw = new Request(c.req.raw, { headers });
	try {
		await c.req.json(); // Kept for the validator, whose own message would not say where it fails.
	} catch (error) {
		throw new ApiError(
			400,
			`the body is not JSON: ${(error as Error).message}`,
		);
	}
	await next();
};

/** Of all routes that take a body. JSON is read whatever its content type. */
export const jsonBody = [limit, callJson];

/** Refuses what does not fit its schema, with the name of the parameter. */
export function refuseInvalid(
	result: { success: true } | { success: false; error: z.ZodError },
): void {
	if (result.success) return;
	const issue = result.error.issues[0];
	const param = issue?.path.join(".") || null;
	throw new ApiError(400, `${param ?? "the body"}: ${issue?.message}`, {
		param,
	});
}
