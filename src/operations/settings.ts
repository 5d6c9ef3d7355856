/**
 * What an operator sets: variables, secrets and bindings of a deployment, checked.
 *
 * @module
 */

import * as z from "zod";

/** Cloudflare's rate limit, counted a location. */
export interface RateLimiter {
	limit(options: { key: string }): Promise<{ success: boolean }>;
}

/** A Workers Analytics Engine dataset. */
export interface Dataset {
	writeDataPoint(point: {
		indexes: string[];
		blobs: string[];
		doubles: number[];
	}): void;
}

/** All are optional. Variables may be numbers or text: secrets and the command line know only text. */
export interface OperationsBindings {
	/** Anything but `development` or `staging`, nothing too, is production. */
	ENVIRONMENT?: string;
	/** Secret: keys that clients may use, between commas or blanks. */
	API_KEYS?: string;
	/** `true` lets a deployment without keys serve everybody. */
	ALLOW_OPEN?: string | boolean;
	/** Most tokens in a prompt, its first (which begins the text) included. */
	MAX_PROMPT_TOKENS?: string | number;
	/** Most tokens that a completion may ask for. */
	MAX_TOKENS?: string | number;
	/** Most multiply-accumulates that a request may come to cost. */
	MAX_MACS?: string | number;
	/** Most requests that an isolate computes at a time. */
	MAX_CONCURRENCY?: string | number;
	RATE_LIMITER?: RateLimiter;
	ANALYTICS?: Dataset;
	/** Which deployment this is: cached answers are valid for one. */
	CF_VERSION_METADATA?: { id: string };
}

/** Shorter ones can be guessed. */
const MIN_KEY_LENGTH = 16;

const cap = z.coerce
	.number("must be a number")
	.int("must be a whole number")
	.positive("must be above 0")
	.default(Infinity);

const Settings = z
	.object({
		ENVIRONMENT: z
			.enum(["development", "staging", "production"])
			.default("production"),
		API_KEYS: z
			.string()
			.default("")
			.transform((text) => text.split(/[\s,]+/).filter(Boolean))
			.refine((keys) => keys.every((key) => key.length >= MIN_KEY_LENGTH), {
				error: `every key must have at least ${MIN_KEY_LENGTH} characters`,
			}),
		ALLOW_OPEN: z
			.union([z.boolean(), z.stringbool()], "must be true or false")
			.default(false),
		MAX_PROMPT_TOKENS: cap,
		MAX_TOKENS: cap,
		MAX_MACS: cap,
		MAX_CONCURRENCY: cap,
	})
	.refine(
		({ ENVIRONMENT, API_KEYS, ALLOW_OPEN }) =>
			ENVIRONMENT === "development" || API_KEYS.length > 0 || ALLOW_OPEN,
		{
			path: ["API_KEYS"],
			error:
				"not set, and a deployment does not serve everybody unasked: set the secret, or ALLOW_OPEN to true, or (on your own machine) ENVIRONMENT to development",
		},
	);

export type Settings = z.output<typeof Settings>;

/** The deployment is set up wrongly; for the operator's log, not for clients. */
export class SettingsError extends Error {
	override name = "SettingsError";
}

/** @throws SettingsError that names the variable, what is wrong and what would be right. */
export function readSettings(env: OperationsBindings): Settings {
	const parsed = Settings.safeParse(env);
	if (parsed.success) return parsed.data;
	const faults = parsed.error.issues.map(
		({ path, message }) => `${path.join(".")}: ${message}`,
	);
	throw new SettingsError(faults.join("; "));
}
