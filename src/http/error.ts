/**
 * Errors as clients see them, in OpenAI's shape.
 *
 * @module
 */

import { HTTPException } from "hono/http-exception";
import { EngineError } from "../engine.ts";
import { ExitError } from "../exit.ts";
import type { ErrorBody } from "./response.ts";

/** An error that a client sees. */
export class ApiError extends HTTPException {
	readonly body: ErrorBody;
	constructor(
		status: 400 | 401 | 404 | 405 | 413 | 422 | 429 | 500 | 503,
		message: string,
		{
			param = null,
			code = null,
		}: { param?: string | null; code?: string | null } = {},
	) {
		super(status, { message });
		const type =
			status === 429
				? "requests"
				: status < 500
					? "invalid_request_error"
					: "server_error";
		this.body = { error: { message, type, param, code } };
	}
}

/**
 * OpenAI's shape for whatever was thrown; what is not meant for clients becomes a plain 500.
 * @param exitParam what the client called the exit option that an ExitError complains of.
 */
export function toApiError(error: unknown, exitParam?: string): ApiError {
	if (error instanceof ApiError) return error;
	if (error instanceof EngineError)
		return new ApiError(400, error.message, { param: error.param });
	if (error instanceof ExitError)
		return new ApiError(error.isBudgetTooSmall ? 422 : 400, error.message, {
			param: `bitskip.${exitParam ?? error.param}`,
			code: error.isBudgetTooSmall ? "budget_too_small" : null,
		});
	return new ApiError(500, "internal error");
}
