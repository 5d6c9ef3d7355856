/** Finds a Chromium and starts the endpoint for it, for tests of the page in a real browser. */

import { existsSync } from "node:fs";
import { createServer } from "node:net";

const PLACES = [
	"/usr/bin/chromium",
	"/usr/bin/chromium-browser",
	"/usr/bin/google-chrome",
	"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/** The path of a Chromium: `$CHROMIUM`, or where systems have it. */
export function findChromium(): string | undefined {
	const { CHROMIUM } = process.env;
	if (CHROMIUM && !existsSync(CHROMIUM))
		throw new Error(`CHROMIUM=${CHROMIUM}: no such file`);
	return CHROMIUM || PLACES.find((path) => existsSync(path));
}

/** A port that nobody listens on. */
export function freePort(): Promise<number> {
	const server = createServer();
	return new Promise((resolve, reject) => {
		server.on("error", reject);
		server.listen(0, () => {
			const address = server.address();
			server.close(() => {
				if (address && typeof address === "object") resolve(address.port);
				else reject(new Error("no port is free"));
			});
		});
	});
}
