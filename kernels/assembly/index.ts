export { divergence } from "./divergence";
export { work } from "./engine";
export { matmul } from "./matmul";
export { nll } from "./nll";
export { penalize } from "./penalize";
export { rmsNorm } from "./rms_norm";
export { sample } from "./sample";
export { topScores } from "./top_scores";
