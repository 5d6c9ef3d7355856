/**
 * Results as files: JSON, and charts as SVG, drawn by Vega-Lite.
 *
 * @module
 */

import { writeFile } from "node:fs/promises";
import { parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";

export interface Chart {
	title: string;
	subtitle?: string;
	x: string;
	y: string;
	/** Lines by name; points in the order in which they are joined. */
	series: Record<string, { x: number; y: number }[]>;
	/** Whether points are marked: a few measurements, not a curve of many. */
	points?: boolean;
	yDomain?: [number, number];
}

export function writeJson(path: string, result: object): Promise<void> {
	return writeFile(path, `${JSON.stringify(result, null, "\t")}\n`);
}

export async function writeChart(path: string, chart: Chart): Promise<void> {
	const values = Object.entries(chart.series).flatMap(([name, points]) =>
		points.map(({ x, y }, order) => ({ name, x, y, order })),
	);
	const scale = {
		zero: false,
		...(chart.yDomain && { domain: chart.yDomain }),
	};
	const spec: TopLevelSpec = {
		title: { text: chart.title, subtitle: chart.subtitle ?? "" },
		width: 560,
		height: 340,
		padding: 12,
		background: "white",
		data: { values },
		mark: { type: "line", point: chart.points ?? false, clip: true },
		encoding: {
			x: {
				field: "x",
				type: "quantitative",
				title: chart.x,
				scale: { zero: false },
			},
			y: { field: "y", type: "quantitative", title: chart.y, scale },
			color: {
				field: "name",
				type: "nominal",
				title: null,
				sort: Object.keys(chart.series),
			},
			order: { field: "order" },
		},
	};
	await draw(path, spec);
}

export interface BarChart {
	title: string;
	subtitle: string;
	/** What the bars' lengths mean; their scale is logarithmic. */
	value: string;
	/** In order; each group has a row of its own. */
	bars: { group: string; name: string; value: number }[];
}

export async function writeBarChart(
	path: string,
	{ title, subtitle, value, bars }: BarChart,
): Promise<void> {
	const y = {
		field: "name",
		type: "nominal",
		title: null,
		sort: null,
	} as const;
	const x = {
		field: "value",
		type: "quantitative",
		title: value,
		scale: { type: "log" },
	} as const;
	await draw(path, {
		title: { text: title, subtitle },
		padding: 12,
		background: "white",
		data: { values: bars },
		facet: {
			row: { field: "group", type: "nominal", title: null, sort: null },
		},
		resolve: { scale: { y: "independent" } },
		spec: {
			width: 560,
			layer: [
				{ mark: "bar", encoding: { x, y } },
				{
					mark: { type: "text", align: "left", dx: 3 },
					encoding: { x, y, text: { field: "value", format: ",.0f" } },
				},
			],
		},
	});
}

async function draw(path: string, spec: TopLevelSpec): Promise<void> {
	const view = new View(parse(compile(spec).spec), { renderer: "none" });
	await writeFile(path, `${await view.toSVG()}\n`);
	view.finalize();
}
