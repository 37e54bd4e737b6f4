import { strict as assert } from "node:assert";
import { architectureOf } from "../../../stages/models/architecture.ts";
import { ropeAngles } from "../../../stages/models/rope.ts";
import { readRopes } from "../../../stages/models/rope_config.ts";

const JSON = { max_position_embeddings: 512, num_hidden_layers: 2 };
const HEAD = { headSize: 16 };

Deno.test("`readRopes()` takes the words of transformers 4 before those of 5, and defaults behind both", () => {
  const { ropes, ropeOf } = readRopes({
    ...JSON,
    rope_theta: 7,
    rope_scaling: { type: "linear", factor: 2, finetuned: true },
    rope_parameters: { rope_type: "default", rope_theta: 9 },
  }, HEAD);
  assert.deepEqual(ropes, [{ theta: 7, channels: 16, scaling: { type: "linear", factor: 2 } }]);
  assert.deepEqual(ropeOf, [0, 0]);
  assert.equal(readRopes(JSON, { ...HEAD, theta: 5 }).ropes[0]!.theta, 5);
  assert.equal(readRopes(JSON, HEAD).ropes[0]!.theta, 10000);
});

const factors = (length: number) => Array<number>(length).fill(1);
const REFUSED: readonly (readonly [scaling: Record<string, unknown>, message: RegExp])[] = [
  [
    { type: "ntk", factor: 2 },
    /rope scaling is "ntk", expected one of default, linear, dynamic, yarn, /,
  ],
  [{ type: "linear" }, /rope scaling "linear" has no factor, expected a number$/],
  [{ type: "yarn", factor: 2, extrapolation_factor: 1 }, /rope scaling has .*extrapolation_factor/],
  [
    { type: "linear", factor: 2, beta_fast: 8 },
    /"linear" has beta_fast, expected factor alone; remove/,
  ],
  [{ type: "default", factor: 2 }, /"default" has factor, expected none of it alone; remove/],
  [
    { type: "longrope", short_factor: factors(8) },
    /"longrope" has no long_factor, expected a list/,
  ],
  [
    { type: "longrope", short_factor: factors(8), long_factor: factors(9) },
    /long_factor has 9 numbers, expected 8, one for each pair of channels that turn$/,
  ],
  [{ type: "dynamic", factor: -1 }, /rope scaling has factor: /],
  [
    { partial_rotary_factor: 0.5 },
    /partial_rotary_factor is 0.5, expected 1: in this architecture all/,
  ],
  [
    { full_attention: { rope_theta: 5 } },
    /layer 0 is of type none by layer_types, expected one of those/,
  ],
];

for (const [scaling, message] of REFUSED) {
  Deno.test(`\`readRopes()\` refuses ${Deno.inspect(scaling, { compact: true, iterableLimit: 1 })}`, () => {
    assert.throws(() => readRopes({ ...JSON, rope_scaling: scaling }, HEAD), message);
  });
}

Deno.test("`readRopes()` turns a part of a head where the family can, an even number of channels", () => {
  const partial = (share: number) =>
    readRopes({ ...JSON, partial_rotary_factor: share }, { ...HEAD, partial: true });
  assert.equal(partial(0.25).ropes[0]!.channels, 4);
  assert.throws(
    () => partial(0.2),
    /turns 3 of 16 channels of a head, expected an even number of them$/,
  );
});

Deno.test("`readRopes()` gives layers that do not turn an embedding without angles", () => {
  const { ropes, ropeOf } = readRopes(JSON, { ...HEAD, still: (layer) => layer === 1 });
  assert.deepEqual(ropeOf, [0, 1]);
  assert.deepEqual([...ropeAngles(ropes[1]!, 2).data], [1, 0, 1, 0]);
});

Deno.test("positions that YaRN stretches are what a model was made for", () => {
  const config = {
    architectures: ["LlamaForCausalLM"],
    hidden_size: 32,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 32,
    vocab_size: 8,
    max_position_embeddings: 32768,
    rope_scaling: { type: "yarn", factor: 4, original_max_position_embeddings: 32768 },
  };
  assert.equal(architectureOf(config).config.positions, 131072);
});

Deno.test("`architectureOf()` refuses heads that no kernel attends with, by their size", () => {
  const config = {
    architectures: ["LlamaForCausalLM"],
    hidden_size: 200,
    num_hidden_layers: 1,
    num_attention_heads: 4,
    intermediate_size: 32,
    vocab_size: 8,
  };
  assert.throws(
    () => architectureOf(config),
    /heads are of size 50, hidden_size 200 \/ num_attention_heads 4, expected a multiple of 4 up to 1024$/,
  );
  assert.throws(
    () => architectureOf({ ...config, head_dim: 2048 }),
    /heads are of size 2048, expected/,
  );
  assert.equal(architectureOf({ ...config, head_dim: 100 }).config.headSize, 100);
});

Deno.test("`architectureOf()` refuses widths that no product takes", () => {
  // A head of 100, as the rows of o_proj, does not multiply by eights; two do.
  const config = {
    architectures: ["LlamaForCausalLM"],
    hidden_size: 32,
    num_hidden_layers: 1,
    num_attention_heads: 1,
    head_dim: 100,
    intermediate_size: 64,
    vocab_size: 8,
  };
  assert.throws(
    () => architectureOf(config),
    /the channels of 1 heads of 100 is 100, expected a multiple of 8, by which linears multiply$/,
  );
  assert.throws(
    () => architectureOf({ ...config, intermediate_size: 60 }),
    /intermediate_size is 60, /,
  );
  assert.equal(architectureOf({ ...config, num_attention_heads: 2 }).config.headSize, 100);
});
