import { strict as assert } from "node:assert";
import { exportModel } from "../../../stages/export.ts";
import { load } from "../../../stages/load.ts";
import { openCheckpoint } from "../../../stages/models/open_checkpoint.ts";
import { openServedTokenizer } from "../../../stages/serve/served_tokenizer.ts";
import { serveModel } from "../../support/model_server.ts";
import { CARD } from "../../support/server_stub.ts";
import { StageChain } from "../../support/stage_chain.ts";
import { writeTokenized } from "../../support/tiny_tokenizer.ts";

Deno.test("an answer of a GGUF file's model stops at the end of a turn, which is not its last token", async () => {
  await using chain = await StageChain.open();
  const path = await chain.directory();
  const template = "{% for message in messages %}{{ message.content }}{% endfor %}";
  await writeTokenized(path, { ends: [0, 3], template });
  const model = { kind: "model", key: path, digest: path, path, scores: {} } as const;
  const written = await chain.run(exportModel, { model, reports: [] }, { format: "gguf" });
  const loaded = await chain.run(load, {}, { model: `${written.path}/model.gguf` });
  using checkpoint = await openCheckpoint(loaded.path);
  const { tokenizer: files, files: texts, config } = checkpoint;
  const tokenizer = openServedTokenizer(files!, texts, config);
  const wishes = { context: 64, sequences: 1, stepTokens: 16, queueRequests: 4 };
  await using served = await serveModel({ path: loaded.path, tokenizer, wishes });
  // The last token, two ends of a turn by key and by name, and a letter.
  for (
    const [id, tokens, reason] of [[0, 1, "stop"], [3, 1, "stop"], [2, 1, "stop"], [7, 4, "length"]]
  ) {
    const response = await served.post("/v1/chat/completions", {
      model: CARD.name,
      messages: [{ role: "user", content: "hi" }],
      temperature: 0,
      max_tokens: 4,
      logit_bias: { [id!]: 100 },
    });
    const { choices, usage } = await response.json();
    assert.deepEqual(
      [choices[0].finish_reason, usage.completion_tokens],
      [reason, tokens],
      `${id}`,
    );
  }
});
