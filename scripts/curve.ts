/** Draws bits per byte against work, from `npm run bench:exits`, as an SVG that the page's CSS colours. */

interface Point {
	policy: string;
	macsPerToken: number;
	bitsPerByte: number;
}

const [WIDTH, HEIGHT] = [400, 260];
const MARGIN = { left: 48, right: 12, top: 28, bottom: 40 };
const POLICIES = ["layer", "gate", "budget"];

/** A figure with one line a policy; the points of other policies are left out. */
export function curve(all: readonly Point[]): string {
	const points = all.filter(({ policy }) => POLICIES.includes(policy));
	const x = scale(
		[0, Math.max(...points.map(({ macsPerToken }) => macsPerToken)) / 1e6],
		[MARGIN.left, WIDTH - MARGIN.right],
	);
	const bits = points.map(({ bitsPerByte }) => bitsPerByte);
	const y = scale(
		[
			Math.floor(Math.min(...bits) * 20) / 20,
			Math.ceil(Math.max(...bits) * 20) / 20,
		],
		[HEIGHT - MARGIN.bottom, MARGIN.top],
	);
	const bottom = HEIGHT - MARGIN.bottom;
	const right = WIDTH - MARGIN.right;
	const marks = [
		...x
			.ticks(1)
			.map((value) => text(x.at(value), bottom + 16, "middle", String(value))),
		...y
			.ticks(0.05)
			.map((value) =>
				text(MARGIN.left - 6, y.at(value) + 4, "end", value.toFixed(2)),
			),
		text(
			(MARGIN.left + right) / 2,
			HEIGHT - 4,
			"middle",
			"million MACs a token",
		),
		text(4, 12, "start", "bits per byte: fewer is better"),
	];
	const lines = POLICIES.map((policy) => {
		const line = points
			.filter((point) => point.policy === policy)
			.sort((a, b) => a.macsPerToken - b.macsPerToken)
			.map(
				({ macsPerToken, bitsPerByte }) =>
					`${round(x.at(macsPerToken / 1e6))} ${round(y.at(bitsPerByte))}`,
			);
		return `<path class="${policy}" d="M${line.join("L")}"/>`;
	});
	const legend = POLICIES.map((policy, i) => {
		const at = MARGIN.top + 12 + 18 * i;
		return `<path class="${policy}" d="M${right - 90} ${at}h28"/>${text(right - 56, at + 4, "start", policy)}`;
	});
	return `<figure>
<svg class="curve" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${summary(points)}">
<path class="axis" d="M${MARGIN.left} ${MARGIN.top}V${bottom}H${right}"/>
${[...marks, ...lines, ...legend].join("\n")}
</svg>
<figcaption>How well the model predicts held-out stories, by the work it may do for a token (bench/results/exits.json).</figcaption>
</figure>`;
}

/** The curve's ends in words. */
function summary(points: readonly Point[]): string {
	const sorted = points.toSorted((a, b) => a.macsPerToken - b.macsPerToken);
	const [least, most] = [sorted[0], sorted.at(-1)].map(
		(point) =>
			point &&
			`${point.bitsPerByte.toFixed(2)} bits per byte at ${(point.macsPerToken / 1e6).toFixed(1)} million MACs a token`,
	);
	return `From ${least} to ${most}, by fixed layers, gates and budgets.`;
}

function scale([from, to]: [number, number], [start, end]: [number, number]) {
	return {
		at: (value: number) =>
			start + ((value - from) / (to - from)) * (end - start),
		/** Multiples of `step` in the domain. */
		ticks: (step: number) =>
			Array.from(
				{ length: Math.floor((to - from) / step + 1e-6) + 1 },
				(_, i) => from + i * step,
			),
	};
}

function text(x: number, y: number, anchor: string, words: string): string {
	return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}">${words}</text>`;
}

function round(value: number): number {
	return Math.round(value * 10) / 10;
}
