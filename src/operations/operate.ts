/**
 * What stands before the endpoint: who may ask, how much, and what is written down about it.
 *
 * @module
 */

import { type Context, type ExecutionContext, Hono } from "hono";
import { cors } from "hono/cors";
import type { Engine } from "../engine.ts";
import { ApiError, toApiError } from "../http/error.ts";
import { Account, logLine, writeDataPoint } from "./account.ts";
import { identify } from "./keys.ts";
import { meter } from "./meter.ts";
import { METRICS_TYPE, Metrics } from "./metrics.ts";
import {
	cacheHeaders,
	isFresh,
	keep,
	lookUp,
	readRepeatable,
} from "./repeatable.ts";
import {
	type OperationsBindings,
	readSettings,
	type Settings,
	SettingsError,
} from "./settings.ts";

/** What the endpoint finds among its bindings. */
export interface Metered {
	/** The engine to answer this request with. */
	METER(engine: Engine): Engine;
}

/** A Hono app, or whatever answers requests. What goes on after its answer it hands to `waitUntil`. */
interface Endpoint<Bindings> {
	fetch(
		request: Request,
		env: Bindings,
		context: ExecutionContext,
	): Response | Promise<Response>;
}

interface Env<Bindings> {
	Bindings: Bindings;
	Variables: {
		requestId: string;
		account: Account;
		settings: Settings;
		/** Whether the account is closed when the endpoint's work has ended, which may be after its answer. */
		isForwarded: boolean;
	};
}

/** Paths that need a key where there are any. */
const GUARDED = ["/v1/*", "/tokenize", "/detokenize", "/metrics"];
/** Headers that pages of other origins may read. */
const EXPOSED = [
	"Cache-Status",
	"ETag",
	"Retry-After",
	"Server-Timing",
	"X-Request-Id",
];
/** Seconds after which another try makes sense: the period in wrangler.toml; and the time a story takes. */
const RATE_LIMIT_PERIOD = 60;
const BUSY_PERIOD = 1;

/**
 * An app that checks keys and limits, answers `/metrics` and completions by GET, and hands all else to
 * `endpoint`. A deployment that is set up wrongly, or open without being told so, answers all with 503.
 */
export function operate<Bindings extends OperationsBindings>(
	endpoint: Endpoint<Bindings & Metered>,
) {
	type C = Context<Env<Bindings>>;
	const metrics = new Metrics();

	function close(c: C, status: number): void {
		const { account, requestId } = c.var;
		metrics.record(account, status);
		console.log(logLine(account, status, requestId));
		if (c.env?.ANALYTICS) writeDataPoint(c.env.ANALYTICS, account, status);
	}

	async function forward(c: C, request: Request): Promise<Response> {
		const { account, settings } = c.var;
		const computes = request.method === "POST";
		if (computes && metrics.inFlight >= settings.MAX_CONCURRENCY)
			throw tooMany(
				c,
				BUSY_PERIOD,
				`this isolate computes ${metrics.inFlight} requests already; try again in ${BUSY_PERIOD} s`,
			);
		if (computes) metrics.inFlight++;
		c.set("isForwarded", true);
		const work: Promise<unknown>[] = [];
		const context = contextOf(c);
		const env = {
			...c.env,
			METER: (engine: Engine) => meter(engine, account, settings),
		};
		const answer = (async () =>
			endpoint.fetch(request, env, {
				...context,
				waitUntil(promise) {
					work.push(promise);
					context.waitUntil(promise);
				},
			}))();
		// Under waitUntil as a whole: a Worker's request ends where it stands when its client leaves.
		const closing = (async () => {
			const status = await answer.then(
				(response) => response.status,
				() => 500,
			);
			await Promise.allSettled(work);
			if (computes) metrics.inFlight--;
			// A stream ends a turn before its request's signal tells of the client that left it.
			if (computes) await new Promise((resolve) => setTimeout(resolve));
			close(c, c.req.raw.signal.aborted ? 499 : status);
		})();
		context.waitUntil(closing);
		return answer;
	}

	async function repeatable(c: C): Promise<Response> {
		const { account, settings } = c.var;
		const version = c.env?.CF_VERSION_METADATA?.id ?? "unknown";
		const { body, url, etag } = await readRepeatable(c.req.url, version);
		const headers = cacheHeaders(etag, settings.API_KEYS.length > 0);
		if (isFresh(c.req.header("If-None-Match"), etag)) {
			account.cache = "hit";
			return c.body(null, 304, headers);
		}
		const kept = await lookUp(url);
		account.cache = kept ? "hit" : "miss";
		const answer =
			kept ??
			(await forward(
				c,
				new Request(new URL(c.req.path, c.req.url), {
					method: "POST",
					headers: { "Content-Type": "application/json" },
					body: JSON.stringify(body),
					signal: c.req.raw.signal,
				}),
			));
		if (answer.status !== 200) return answer;
		if (!kept) contextOf(c).waitUntil(keep(url, answer.clone()));
		const marked = new Response(answer.body, answer);
		for (const [name, value] of Object.entries(headers))
			marked.headers.set(name, value);
		marked.headers.set("Cache-Status", `edge; ${kept ? "hit" : "fwd=miss"}`);
		return marked;
	}

	const app = new Hono<Env<Bindings>>();
	app.onError((error, c) => {
		if (error instanceof SettingsError) console.error(error.message);
		const known =
			error instanceof SettingsError
				? new ApiError(503, "this endpoint is not set up; its log says why", {
						code: "not_configured",
					})
				: toApiError(error);
		if (known.status === 500) console.error(error);
		if (known.status === 401) c.header("WWW-Authenticate", "Bearer");
		return c.json(known.body, known.status as 500);
	});
	app.use(async (c, next) => {
		c.set("requestId", crypto.randomUUID());
		c.set("account", new Account(c.req.method, c.req.path));
		await next();
		c.header("X-Request-Id", c.var.requestId);
		if (!c.var.isForwarded) close(c, c.res.status);
	});
	// Before all that may refuse: a page elsewhere should see why. Keys travel in a header, never in cookies.
	app.use(cors({ origin: "*", exposeHeaders: EXPOSED }));
	app.use(async (c, next) => {
		c.set("settings", readSettings(c.env ?? {}));
		await next();
	});
	app.on("ALL", GUARDED, async (c, next) => {
		const { account, settings } = c.var;
		account.client = await identify(
			c.req.header("Authorization"),
			settings.API_KEYS,
		);
		const address = c.req.header("CF-Connecting-IP") ?? "unknown";
		const key = settings.API_KEYS.length > 0 ? account.client : address;
		const outcome = await c.env?.RATE_LIMITER?.limit({ key });
		if (outcome && !outcome.success)
			throw tooMany(
				c,
				RATE_LIMIT_PERIOD,
				`too many requests; try again in ${RATE_LIMIT_PERIOD} s`,
			);
		await next();
	});
	return app
		.get("/metrics", (c) =>
			c.text(metrics.toString(), 200, { "Content-Type": METRICS_TYPE }),
		)
		.get("/v1/completions", repeatable)
		.all("*", (c) => forward(c, c.req.raw));
}

function tooMany(c: Context, seconds: number, message: string): ApiError {
	c.header("Retry-After", String(seconds));
	return new ApiError(429, message, { code: "rate_limit_exceeded" });
}

/** The request's context, or in Node, where work goes on unasked, one that does nothing. */
function contextOf(c: Context): ExecutionContext {
	try {
		const { executionCtx } = c;
		return {
			waitUntil: (promise) => executionCtx.waitUntil(promise),
			passThroughOnException: () => executionCtx.passThroughOnException(),
			props: executionCtx.props,
		};
	} catch {
		return {
			waitUntil() {},
			passThroughOnException() {},
			props: {},
		};
	}
}
