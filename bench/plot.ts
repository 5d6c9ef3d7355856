/**
 * Results as files: JSON, and line charts as SVG, drawn by Vega-Lite.
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
	const view = new View(parse(compile(spec).spec), { renderer: "none" });
	await writeFile(path, `${await view.toSVG()}\n`);
	view.finalize();
}
