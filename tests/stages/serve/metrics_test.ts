import { deepStrictEqual, ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { serveFake } from "../../support/server_stub.ts";

const DASHBOARD = fileURLToPath(new URL("../../../configs/grafana.json", import.meta.url));

/**
 * What vLLM tells of a model that is served by one engine: all names of `vllm/v1/metrics/loggers.py` at
 * commit 005a810, as its Prometheus client writes them, but for those of adapters and drafts.
 */
const VLLM = `
num_requests_running num_requests_waiting gpu_cache_usage_perc kv_cache_usage_perc
gpu_prefix_cache_queries_total gpu_prefix_cache_hits_total prefix_cache_queries_total
prefix_cache_hits_total num_preemptions_total prompt_tokens_total generation_tokens_total
request_success_total request_prompt_tokens request_generation_tokens iteration_tokens_total
request_max_num_generation_tokens request_params_n request_params_max_tokens
time_to_first_token_seconds time_per_output_token_seconds
time_per_prefill_token_request_seconds e2e_request_latency_seconds request_queue_time_seconds
request_inference_time_seconds request_prefill_time_seconds request_decode_time_seconds
cache_config_info
`.trim().split(/\s+/);

async function metricsOfUse(): Promise<string> {
  await using served = await serveFake({ says: "one two three" });
  await (await served.post("/v1/completions", { prompt: "a b", max_tokens: 20 })).text();
  return await (await served.get("/metrics")).text();
}

Deno.test("every figure has vLLM's name, and a value once there was a request", async () => {
  const text = await metricsOfUse();
  const values = new Map(
    [...text.matchAll(/^vllm:(\w+?)(?:\{[^}]*\})? (\S+)$/gm)].map(([, name, value]) => [
      name!.replace(/_(bucket|sum|count)$/, ""),
      Number(value),
    ]),
  );
  deepStrictEqual(VLLM.filter((name) => !values.has(name)), []);
  for (const [name, value] of values) ok(Number.isFinite(value), name);
});

Deno.test("steps are counted by their tokens, in buckets that add up", async () => {
  const text = await metricsOfUse();
  const buckets = [
    ...text.matchAll(/^vllm:iteration_tokens_total_bucket\{le="([^"]+)".* (\d+)$/gm),
  ];
  deepStrictEqual([buckets[0]![1], buckets.at(-1)![1]], ["1", "+Inf"]);
  const [, count] = /^vllm:iteration_tokens_total_count\S* (\d+)$/m.exec(text)!;
  ok(Number(count) > 2);
  deepStrictEqual(buckets.at(-1)![2], count);
});

Deno.test("the dashboard asks for nothing that is not told", async () => {
  const { panels } = JSON.parse(await Deno.readTextFile(DASHBOARD));
  const text = await metricsOfUse();
  const told = new Set(
    [...text.matchAll(/^([a-z_:]+)(?:\{[^}]*\})? \S+$/gm)].map(([, name]) => name),
  );
  const asked = panels.flatMap(({ targets }: { readonly targets: { readonly expr: string }[] }) =>
    targets.flatMap(({ expr }) => expr.match(/\b(quattuor|vllm)[\w:]+/g)!)
  );
  ok(asked.length > 15);
  deepStrictEqual(asked.filter((name: string) => !told.has(name)), []);
});
