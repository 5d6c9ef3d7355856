/**
 * The package in Cloudflare Workers, which compile modules only ahead of time.
 *
 * @module
 */

import relaxed from "../../build/relaxed.wasm";
import strict from "../../build/strict.wasm";
import { createLoad } from "../load.ts";

export * from "./public.ts";

/** The model whose parts these are; docs/package.md. */
export const load = createLoad(async (kernel) =>
	kernel === "strict" ? strict : relaxed,
);
