/** The element of the page with `id`. @throws Error where index.html has none of that kind. */
export function element<T extends HTMLElement>(
	id: string,
	kind: new () => T,
): T {
	const found = document.getElementById(id);
	if (!(found instanceof kind)) throw new Error(`no ${kind.name} #${id}`);
	return found;
}
