import { strict as assert } from "node:assert";
import { gzipSync } from "node:zlib";
import { namedText } from "../../../stages/data/named_texts.ts";
import { tokenize } from "../../../stages/tokenize.ts";
import { startHub } from "../../support/hub_stub.ts";
import { StageChain } from "../../support/stage_chain.ts";

const TRAIN = "en/c4-train.00000-of-01024.json.gz";
const VALIDATION = "en/c4-validation.00000-of-00008.json.gz";

Deno.test("`namedText()` has another text to calibrate on than to score", async () => {
  for (const name of ["wikitext2", "c4"]) {
    const [test, calibration] = await Promise.all([
      namedText(name),
      namedText(name, "calibration"),
    ]);
    assert.match(test.place, /^hf:datasets\/\w+\/\w+\/.*(test|validation)/);
    assert.match(calibration.place, /^hf:datasets\/\w+\/\w+\/.*train/);
  }
  assert.equal((await namedText("pile", "calibration")).documents, 2000);
  await assert.rejects(namedText("pile"), {
    message:
      'Cannot take "pile" as a text to be scored: it is one to calibrate on, expected one of ' +
      "wikitext2, c4 or a file",
  });
  for (const place of ["stories:test", "./pile", "wiki.txt", "toString"]) {
    assert.deepEqual(await namedText(place), { place });
  }
});

Deno.test("a file that is called as a text of the hub wins", async () => {
  const folder = await Deno.makeTempDir();
  const before = Deno.cwd();
  try {
    Deno.chdir(folder);
    await Deno.writeTextFile("c4", "some text");
    assert.deepEqual(await namedText("c4"), { place: "c4" });
  } finally {
    Deno.chdir(before);
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("tokenize fetches a text by its name, once, and its digest is in the key", async () => {
  const rows = (word: string) =>
    Array.from({ length: 3000 }, (_, at) => JSON.stringify({ text: `${word} ${at}` })).join("\n");
  const files = {
    [TRAIN]: Uint8Array.from(gzipSync(rows("one"))),
    [VALIDATION]: Uint8Array.from(gzipSync(rows("two"))),
  };
  await using hub = await startHub(files, ["allenai/c4"]);
  await using chain = await StageChain.open();
  const model = chain.embedded();
  const count = async (params: object) => {
    const { path } = await chain.run(tokenize, { model }, { text: "c4", ...params });
    return JSON.parse(await Deno.readTextFile(`${path}/tokens.json`)).count as number;
  };
  await count({});
  assert.match(chain.notes.join(), / of 1100 documents/);
  assert.deepEqual(hub.fetched(), [VALIDATION]);
  await count({ purpose: "calibration" });
  assert.match(chain.notes.join(), / of 2000 documents/);
  await count({ purpose: "calibration", documents: 5 });
  assert.match(chain.notes.join(), / of 5 documents/);
  assert.deepEqual(hub.fetched(), [VALIDATION, TRAIN]);
  const digests = { digest: (path: string) => Promise.resolve(path.split("/").at(-1)!) };
  const params = tokenize.params.parse({ text: "c4", purpose: "calibration" });
  assert.deepEqual(await tokenize.fingerprint!(params, digests), {
    digests: [TRAIN.split("/")[1]],
    documents: 2000,
  });
  Deno.env.set("HF_HUB_OFFLINE", "1");
  await count({});
  await chain.refuses(tokenize, {
    inputs: { model },
    params: { text: "wikitext2" },
    message:
      /HF_HUB_OFFLINE is set and .* does not have it, expected it there; on a machine that reaches the hub, hf download --repo-type dataset Salesforce\/wikitext wikitext-2-raw-v1\/test\S+ makes such a folder, .*local file$/,
  });
});
