import kernelsRelaxed from "../../build/kernels-relaxed.wasm";
import kernelsStrict from "../../build/kernels-strict.wasm";
import relaxed from "../../build/relaxed.wasm";
import strict from "../../build/strict.wasm";

export const modules = { strict, relaxed };
export const kernelModules = {
	strict: kernelsStrict,
	relaxed: kernelsRelaxed,
};
