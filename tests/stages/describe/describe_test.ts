import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { describePath } from "../../../stages/describe/describe.ts";
import type { Benchmark } from "../../../stages/benchmark/results.ts";
import { writeSafetensors } from "../../../stages/formats/safetensors/file.ts";
import { type Evaluation, writeEvaluation } from "../../../stages/report/evaluation.ts";
import { fact, rows } from "../../support/description.ts";
import { withDirectory } from "../../support/directory.ts";
import { type Entry, ggufBytes } from "../../support/gguf_file.ts";

Deno.test("a GGUF file is described by its tensors, and told of where its type or its length lies", () =>
  withDirectory(async (directory) => {
    const path = `${directory}/a.gguf`;
    const metadata: Record<string, Entry> = {
      "general.architecture": { text: "llama" },
      "general.name": { text: "tiny" },
      "general.file_type": { u32: 15 },
      "llama.embedding_length": { u32: 32 },
      "llama.attention.head_count": { u32: 4 },
    };
    const tensors = [
      { name: "token_embd.weight", shape: [4, 32], type: 0, bytes: new Uint8Array(512) },
      // Q8_0: 34 bytes for 32 elements; Q8_1, which we do not run: 40.
      { name: "blk.0.attn_q.weight", shape: [32, 32], type: 8, bytes: new Uint8Array(34 * 32) },
      { name: "blk.0.ffn_up.weight", shape: [16, 32], type: 9, bytes: new Uint8Array(40 * 16) },
    ];
    await Deno.writeFile(path, ggufBytes({ metadata, tensors }));
    const description = (await describePath(path, {}))!;
    strictEqual(description.title, "GGUF, llama, 0.0 M parameters, Q4_K_M");
    strictEqual(fact(description, "Model", "parameters"), String(128 + 1024 + 512));
    const bits = 8 * (34 * 32 + 40 * 16) / (1024 + 512);
    strictEqual(
      fact(description, "Model", "bits per weight"),
      `${bits.toFixed(3)} in the layers' linears`,
    );
    deepStrictEqual(rows(description, "Element types"), [
      ["Q8_0", "1", "1024", "1088"],
      ["Q8_1", "1", "512", "640"],
      ["F32", "1", "128", "512"],
    ]);
    strictEqual(
      description.warnings[0],
      "general.file_type says Q4_K_M, but most weights of the linears are Q8_0",
    );
    match(description.warnings[1]!, /^Cannot read tensor "blk\.0\.ffn_up\.weight"/);
    await Deno.truncate(path, (await Deno.stat(path)).size - 64);
    match(
      (await describePath(path, {}))!.warnings[1]!,
      /^The file ends after \d+ bytes, before the end of "blk\.0\.ffn_up\.weight"; fetch it again$/,
    );
    await Deno.writeFile(path, ggufBytes({ metadata, tensors: [...tensors, tensors[0]!] }));
    await rejects(
      describePath(path, {}),
      /it lists tensor "token_embd\.weight" twice, expected each/,
    );
    await Deno.writeTextFile(path, "words");
    strictEqual(await describePath(path, {}), undefined);
  }));

Deno.test("statistics show the outliers of every tap by layer", () =>
  withDirectory(async (directory) => {
    const record = { version: 1, model: "a", tokens: "b", windows: 2, context: 64, rows: 5 };
    const more = { attentionWindows: 1, gram: false };
    await Deno.writeTextFile(`${directory}/stats.json`, JSON.stringify({ ...record, ...more }));
    for (const [layer, values] of [[3, 7], [40, 2]].entries()) {
      await writeSafetensors(
        `${directory}/layer-00${layer}.safetensors`,
        new Map([[`layers.${layer}.mlp.out.absmax`, {
          shape: [2],
          values: Float32Array.from(values),
        }]]),
      );
    }
    const description = (await describePath(directory, {}))!;
    strictEqual(description.title, "statistics of 2 layers over 128 tokens");
    const [chart] = description.sections.flatMap(({ charts = [] }) => charts);
    deepStrictEqual(chart?.series, [{ name: "mlp.out", points: [[0, 7], [1, 40]] }]);
  }));

Deno.test("tokens that are fewer than their record says are told of", () =>
  withDirectory(async (directory) => {
    await Deno.writeTextFile(
      `${directory}/tokens.json`,
      JSON.stringify({ count: 5, digest: "ab" }),
    );
    await Deno.writeFile(
      `${directory}/tokens.u32`,
      new Uint8Array(new Uint32Array([7, 9, 7]).buffer),
    );
    const description = (await describePath(directory, { deep: true }))!;
    strictEqual(fact(description, "Tokens", "different ones"), "2");
    strictEqual(fact(description, "Tokens", "largest id"), "9");
    match(description.warnings[0]!, /^tokens\.json says 5 tokens, tokens\.u32 has 12 bytes$/);
    match(description.warnings[1]!, /^tokens\.json says sha256 ab, tokens\.u32 has [0-9a-f]{64}$/);
  }));

Deno.test("an evaluation gives the figures that variants are compared by", () =>
  withDirectory(async (directory) => {
    await writeEvaluation(directory, EVALUATION);
    const description = (await describePath(directory, { kind: "report" }))!;
    strictEqual(description.variant, "W4 A8 KV4");
    deepStrictEqual(description.figures?.map(({ name, text, axis }) => [name, text, axis]), [
      // 7.12345 by the error of two means, log 2 and log 8: half of their difference.
      ["Perplexity", `7.1235 ± ${(7.12345 * Math.log(8 / 2) / 2).toFixed(4)}`, "quality"],
      ["Perplexity increase, %", "2.13", "quality"],
      ["KL, nats", "0.0123", "quality"],
      ["Top-1 agrees", "93.75 %", undefined],
      ["Bits per weight", "4.25", "size"],
      ["Weights, MB", "19.2", undefined],
      ["KV, bytes per token", "576", "size"],
    ]);
    const [chart] = description.sections.flatMap(({ charts = [] }) => charts);
    // A mean of log 2 nats a token is a perplexity of 2.
    const points = chart?.series[0]?.points.map(([at, value]) => [at, value.toFixed(6)]);
    deepStrictEqual(points, [[0, "2.000000"], [1, "8.000000"]]);
  }));

Deno.test("a comparison gives its table, and the pictures that were drawn", () =>
  withDirectory(async (directory) => {
    const row = { scheme: "W4", bitsPerWeight: 4, weightBytes: 1e6, kvBytesPerToken: 8, ratio: 1 };
    const report = {
      title: "Methods",
      protocol: EVALUATION.protocol,
      rows: [{ ...row, label: "one", perplexity: 2, layers: [], kvErrors: [] }],
    };
    await Deno.writeTextFile(`${directory}/report.json`, JSON.stringify(report));
    const plain = (await describePath(directory, {}))!;
    strictEqual(plain.title, "comparison of 1 evaluations");
    deepStrictEqual(rows(plain, "Methods"), [[
      "one",
      "W4",
      "4.00",
      "1.0",
      "8",
      "2.0000",
      "1.0000",
    ]]);
    deepStrictEqual(plain.sections[0]?.pictures, []);
    await Deno.writeTextFile(`${directory}/perplexity.svg`, "<svg>1</svg>");
    const [section] = (await describePath(directory, {}))!.sections;
    deepStrictEqual(section?.pictures, [{ title: "Perplexity against size", svg: "<svg>1</svg>" }]);
    await Deno.writeTextFile(`${directory}/report.json`, "{}");
    ok(await describePath(directory, {}) === undefined);
  }));

Deno.test("a benchmark gives its batches, a curve for each model, and what was left out", () =>
  withDirectory(async (directory) => {
    const round = {
      seconds: 4,
      prefillSeconds: 1,
      promptTokens: 200,
      generatedTokens: 80,
      earlyTokens: 2,
      steps: 41,
      pages: 6,
      preemptions: 0,
    };
    const batch = {
      pages: 8,
      pageBytes: 2e6,
      device: "a device",
      at: "2026-01-01",
      rounds: [round],
    };
    const model = { scheme: "W4A8KV4", weightBytes: 1e6, kvBytesPerToken: 8, largestBatch: 2 };
    const benchmark: Benchmark = {
      title: "Speed",
      protocol: { prompt: 100, output: 40, seed: 0, memoryBytes: 1e9, warmUp: 0, rounds: 1 },
      machine: { device: "a device", system: "linux", cores: 2, loadBefore: 0 },
      began: "2026-01-01",
      models: [
        { ...model, label: "small", batches: [{ ...batch, batch: 2 }] },
        { ...model, label: "large", largestBatch: 0, refused: "no room", batches: [] },
      ],
    };
    await Deno.writeTextFile(`${directory}/report.json`, JSON.stringify({ benchmark }));
    const description = (await describePath(directory, {}))!;
    // 80 tokens in 4 seconds; 78 of them in the 3 behind the prompts, two at a time.
    const cells = ["small", "2", "20.0", "200", "26.0", "76.92", "41", "6", "2.0", "0", "1.00"];
    deepStrictEqual(rows(description, "Speed"), [cells]);
    const [section] = description.sections;
    deepStrictEqual(section?.charts?.[0]?.series, [{ name: "small", points: [[2, 20]] }]);
    deepStrictEqual(section?.lines?.slice(1), ["large: no room"]);
    deepStrictEqual(description.figures, [{ name: "small, tokens/s", value: 20, text: "20.0" }]);
  }));

const EVALUATION: Evaluation = {
  scores: { perplexity: 7.12345, perplexity_ratio: 1.02134, kl: 0.012345, top1: 0.9375 },
  protocol: { id: "windows", context: 64, windows: 2, tokens: "ab".repeat(32) },
  model: {
    digest: "cd".repeat(32),
    parameters: 38e6,
    bytes: 19.2e6,
    bitsPerWeight: 4.25,
    kvBytesPerToken: 576,
    scheme: "W4 A8 KV4",
    layers: [],
    kvErrors: [],
  },
  windowMeans: [Math.log(2), Math.log(8)],
  hidden: false,
};
