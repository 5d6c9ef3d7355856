/**
 * A peer's process, from outside.
 *
 * @module
 */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Request } from "./child.ts";
import type { Job, Round } from "./session.ts";

const CHILD = fileURLToPath(new URL("child.ts", import.meta.url));
/** With less of a CPU a process shared it, and what it measured says little. */
const MIN_CPU_SHARE = 0.9;
const TRIES = 4;
const TIMEOUT_MS = 120_000;
/** All on one core, so that none gets a faster one. */
const PIN = ["taskset", "-c", "1"];
const canPin =
	spawnSync(PIN[0] as string, [...PIN.slice(1), "true"]).status === 0;

export interface Measured extends Round {
	/** CPU time over wall time. */
	cpuShare: number;
}

interface Loaded {
	files: string[];
	/** What the process grew by when it loaded the model and ran one round. */
	memoryBytes: number;
}

/** One round, again where the CPU was shared; the best of TRIES then. */
export async function undisturbed(
	round: () => Promise<Measured>,
): Promise<Measured> {
	let best: Measured | undefined;
	for (let i = 0; i < TRIES; i++) {
		const measured = await round();
		if (!best || measured.cpuShare > best.cpuShare) best = measured;
		if (best.cpuShare >= MIN_CPU_SHARE) break;
	}
	return best as Measured;
}

export class PeerProcess {
	readonly #process: ChildProcess;
	#stderr = "";

	private constructor() {
		const command = [...(canPin ? PIN : []), process.execPath, CHILD];
		this.#process = spawn(command[0] as string, command.slice(1), {
			stdio: ["ignore", "ignore", "pipe", "ipc"],
		});
		this.#process.stderr?.on("data", (text) => {
			this.#stderr = (this.#stderr + text).slice(-2000);
		});
	}

	/** Starts a process, loads the job's model and warms up. @throws Error with what the peer said. */
	static async start(job: Job): Promise<{ peer: PeerProcess } & Loaded> {
		const peer = new PeerProcess();
		try {
			return { peer, ...(await peer.#ask<Loaded>({ job })) };
		} catch (error) {
			peer.stop();
			throw error;
		}
	}

	measure(): Promise<Measured> {
		return undisturbed(() => this.#ask<Measured>({ ask: "round" }));
	}

	async logits(): Promise<number[]> {
		return (await this.#ask<{ logits: number[] }>({ ask: "logits" })).logits;
	}

	stop(): void {
		this.#process.kill();
	}

	#ask<T extends object>(request: Request): Promise<T> {
		return new Promise((resolve, reject) => {
			const settle = (error?: string, answer?: T) => {
				clearTimeout(timer);
				this.#process.off("message", onMessage).off("exit", onExit);
				if (error) reject(new Error(error));
				else resolve(answer as T);
			};
			const onMessage = (answer: T | { error: string }) =>
				"error" in answer ? settle(answer.error) : settle(undefined, answer);
			const onExit = (code: number | null, signal: string | null) =>
				settle(`its process ended with ${code ?? signal}: ${this.#stderr}`);
			const timer = setTimeout(
				() => settle(`no answer in ${TIMEOUT_MS / 1000} s: ${this.#stderr}`),
				TIMEOUT_MS,
			);
			this.#process.on("message", onMessage).on("exit", onExit);
			this.#process.send(request);
		});
	}
}
