export { evaluate } from "./evaluate.ts";
export { load } from "./load.ts";
export { tokenize } from "./tokenize.ts";
