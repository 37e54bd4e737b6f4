export { llama } from "./llama.ts";
export { mistral } from "./mistral.ts";
export { phi3 } from "./phi3.ts";
export { qwen2 } from "./qwen2.ts";
export { qwen3 } from "./qwen3.ts";
export { smollm3 } from "./smollm3.ts";
