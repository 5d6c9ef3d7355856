/** strict.wasm or relaxed.wasm, as bundlers of edge runtimes import it; docs/abi.md has its exports. */
declare const module: WebAssembly.Module;
export default module;
