export { choleskyPanel } from "./cholesky_panel";
export { copy, work } from "./engine";
export { gptqPanel } from "./gptq_panel";
export { gram } from "./gram";
export { matmul } from "./matmul";
export { rmsNorm } from "./rms_norm";
