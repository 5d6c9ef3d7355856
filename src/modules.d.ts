/** Bundlers of edge runtimes compile an imported .wasm ahead of time. */
declare module "*.wasm" {
	const module: WebAssembly.Module;
	export default module;
}
