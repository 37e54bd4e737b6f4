import { strict as assert } from "node:assert";
import { load } from "../../../stages/load.ts";
import { openCheckpoint } from "../../../stages/models/open_checkpoint.ts";
import { ReferenceDevice } from "../../../kernels/device/reference.ts";
import {
  copyFamily,
  type FamilyChange,
  familyLogits,
  logitsHere,
  readTensors,
  valuesOf,
  writeTensors,
} from "../../support/family_copy.ts";
import { relativeError } from "../../support/forward_pass.ts";
import { StageChain } from "../../support/stage_chain.ts";

/** f32 sums in another order than PyTorch's. */
const TOLERANCE = 2e-5;
const HEAD = "lm_head.weight";
const TABLE = "model.embed_tokens.weight";

/** Checkpoints that say something else than what transformers saved, with the same logits. */
const READ:
  readonly (readonly [what: string, family: string, change: FamilyChange, note: RegExp])[] = [
    [
      "whose config names no class",
      "llama_wide_heads",
      { config: { architectures: undefined } },
      /^config\.json names no class; by its model_type "llama" it is LlamaForCausalLM$/,
    ],
    [
      "whose config has an empty list of classes",
      "qwen3_tied",
      { config: { architectures: [] } },
      /by its model_type "qwen3" it is Qwen3ForCausalLM$/,
    ],
    [
      "that was saved without its head",
      "qwen2_tied",
      { config: { architectures: ["Qwen2Model"] }, edit: withoutPrefix },
      /by its model_type "qwen2" it is Qwen2ForCausalLM$/,
    ],
    [
      'whose tensors have no "model." before their names',
      "llama_wide_heads",
      { edit: withoutPrefix },
      /^tensors have no "model\." before their names; they are read as if they had$/,
    ],
    [
      "that ties a head of its own",
      "llama_wide_heads",
      { config: { tie_word_embeddings: true } },
      /^config\.json ties the head to the embeddings, but "lm_head\.weight" holds other values; this head is used$/,
    ],
  ];

for (const [what, family, change, note] of READ) {
  Deno.test(`a checkpoint ${what} has the logits of transformers, with a note`, async () => {
    await using chain = await StageChain.open(new ReferenceDevice());
    const path = await chain.directory();
    await copyFamily(path, family, change);
    const loaded = await chain.run(load, {}, { model: path, dtype: "float32" });
    const { logits } = await familyLogits(family);
    assert.ok(relativeError(await logitsHere(loaded.path, family), logits) < TOLERANCE);
    assert.ok(chain.notes.some((text) => note.test(text)), chain.notes.join("\n"));
    // What was loaded says it all itself.
    using again = await openCheckpoint(loaded.path);
    assert.deepEqual(again.notes ?? [], []);
    assert.match((again.config as { architectures: string[] }).architectures[0]!, /ForCausalLM$/);
  });
}

function withoutPrefix(tensors: Parameters<NonNullable<FamilyChange["edit"]>>[0]): void {
  for (const [name, tensor] of [...tensors]) {
    tensors.delete(name);
    tensors.set(name.replace(/^model\./, ""), tensor);
  }
}

Deno.test("a tied head that is saved as well is the embeddings, without a word", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const path = await chain.directory();
  await copyFamily(path, "qwen2_tied", {
    edit: (tensors) => void tensors.set(HEAD, { ...tensors.get(TABLE)! }),
  });
  const loaded = await chain.run(load, {}, { model: path, dtype: "float32" });
  using checkpoint = await openCheckpoint(loaded.path);
  assert.equal(checkpoint.tensors.has(HEAD), false);
  assert.equal((checkpoint.config as Record<string, unknown>).tie_word_embeddings, true);
  assert.deepEqual(chain.notes.filter((text) => text.includes("head")), []);
});

Deno.test("a tied head that differs in its last value alone is used", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const path = await chain.directory();
  await copyFamily(path, "qwen2_tied", {
    edit: (tensors) => {
      const table = tensors.get(TABLE)!;
      const bytes = table.bytes.slice();
      bytes[bytes.length - 2]! ^= 1;
      tensors.set(HEAD, { ...table, bytes });
    },
  });
  const loaded = await chain.run(load, {}, { model: path, dtype: "float32" });
  using checkpoint = await openCheckpoint(loaded.path);
  assert.notDeepEqual(await checkpoint.read(HEAD), await checkpoint.read(TABLE));
});

Deno.test("a tied head of another size is refused", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const path = await chain.directory();
  await copyFamily(path, "qwen2_tied", {
    edit: (tensors) => {
      const { dtype, bytes } = tensors.get(TABLE)!;
      tensors.set(HEAD, { dtype, shape: [95, 64], bytes: bytes.slice(0, 95 * 64 * 4) });
    },
  });
  const message = /tensor "lm_head\.weight" in .* is \[95, 64\], expected \[96, 64\]/;
  await chain.refuses(load, { inputs: {}, params: { model: path }, message });
});

Deno.test("a shard's tensor that the index omits is read, with a note", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const path = await chain.directory();
  await copyFamily(path, "llama_wide_heads");
  const omitted = "model.layers.1.mlp.up_proj.weight";
  await shard(path, (weights) => delete weights[omitted]);
  const loaded = await chain.run(load, {}, { model: path, dtype: "float32" });
  const { logits } = await familyLogits("llama_wide_heads");
  assert.ok(
    relativeError(await logitsHere(loaded.path, "llama_wide_heads"), logits) < TOLERANCE,
  );
  assert.ok(chain.notes.includes(
    `model.safetensors.index.json does not list "${omitted}", which is read as well`,
  ));
});

Deno.test("a tensor in two shards is read where the index says, and refused where it does not", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const path = await chain.directory();
  await copyFamily(path, "llama_wide_heads");
  const name = "model.norm.weight";
  await shard(path, () => {});
  const second = await readTensors(`${path}/b.safetensors`);
  const first = await readTensors(`${path}/a.safetensors`);
  const [own, other] = first.has(name) ? [first, second] : [second, first];
  const zeros = { ...own.get(name)!, bytes: new Uint8Array(own.get(name)!.bytes.length) };
  await writeTensors(
    `${path}/${other === first ? "a" : "b"}.safetensors`,
    new Map([...other, [name, zeros]]),
  );
  using checkpoint = await openCheckpoint(path);
  assert.deepEqual(await checkpoint.read(name), valuesOf(own.get(name)!));
  assert.match(checkpoint.notes![0]!, /"model\.norm\.weight" lies in two files; it is read where /);
  const index = `${path}/model.safetensors.index.json`;
  const { weight_map: weights } = JSON.parse(await Deno.readTextFile(index));
  delete weights[name];
  await Deno.writeTextFile(index, JSON.stringify({ weight_map: weights }));
  await assert.rejects(
    openCheckpoint(path),
    /"model\.norm\.weight": it lies in .* and in .*, expected model/,
  );
});

/** Puts the tensors of a checkpoint into two files, with an index as `edit` leaves it. */
async function shard(
  path: string,
  edit: (weights: Record<string, string>) => void,
): Promise<void> {
  const tensors = [...await readTensors(`${path}/model.safetensors`)];
  await Deno.remove(`${path}/model.safetensors`);
  const weights: Record<string, string> = {};
  for (const [at, file] of ["a.safetensors", "b.safetensors"].entries()) {
    const some = new Map(tensors.filter((_, i) => i % 2 === at));
    await writeTensors(`${path}/${file}`, some);
    for (const name of some.keys()) weights[name] = file;
  }
  edit(weights);
  await Deno.writeTextFile(
    `${path}/model.safetensors.index.json`,
    JSON.stringify({ weight_map: weights }),
  );
}
