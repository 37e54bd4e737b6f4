import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { findAdapter, nameOf } from "../../../kernels/device/adapter.ts";
import { refusalOf, startServing } from "../../support/serving_process.ts";

const MAIN = fileURLToPath(new URL("../../../mod.ts", import.meta.url));
const EMBEDDED = fileURLToPath(new URL("../../../configs/embedded", import.meta.url));

Deno.test("`serve` answers from a checkpoint, and ends well when it is asked to stop", async () => {
  const store = await Deno.makeTempDir();
  try {
    const { url, child, lines, ended } = await startServing([EMBEDDED, "--context", "256"], {
      store,
    });
    const engine = lines.find(({ type }) => type === "engine")!;
    assert.equal((engine.sizes as { readonly context: number }).context, 256);
    const { data: [model] } = await (await fetch(`${url}/v1/models`)).json();
    assert.equal(model.id, "embedded");
    const ask = (more: object) =>
      fetch(`${url}/v1/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: model.id, prompt: "The duck", temperature: 0, ...more }),
      });
    const answer = await (await ask({ max_tokens: 12 })).json();
    assert.equal(answer.usage.completion_tokens, 12);
    assert.match(answer.choices[0].text, /^ ?\w/);
    const long = await ask({ prompt: "duck ".repeat(300) });
    assert.equal(long.status, 400);
    assert.match((await long.json()).error.message, /256/);
    // A request under way is finished: one whose answer has begun.
    const last = await ask({
      max_tokens: 60,
      ignore_eos: true,
      stream: true,
      stream_options: { include_usage: true },
    });
    child.kill("SIGTERM");
    assert.match(await last.text(), /"completion_tokens":60\b[^]*data: \[DONE\]\s*$/);
    const { code, errors } = await ended;
    assert.equal(code, 0, errors);
    assert.ok(!errors.includes("The duck"), "the log holds a prompt");
  } finally {
    await Deno.remove(store, { recursive: true });
  }
});

Deno.test("`serve --device` of a software driver answers with what the embedded model is", async () => {
  const store = await Deno.makeTempDir();
  const name = nameOf((await findAdapter()).info);
  try {
    const answers = await Promise.all([`gpu:${name}`, "cpu"].map(async (device) => {
      const { url, child, lines, ended } = await startServing(
        [EMBEDDED, "--device", device],
        { store },
      );
      const engine = lines.find(({ type }) => type === "engine")!;
      if (device !== "cpu") assert.equal(engine.device, name);
      assert.equal((engine.sizes as { readonly context: number }).context, 2048);
      const { data: [model] } = await (await fetch(`${url}/v1/models`)).json();
      const response = await fetch(`${url}/v1/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: model.id, prompt: "Once", temperature: 0, max_tokens: 12 }),
      });
      const { choices, usage } = await response.json();
      assert.equal(usage.completion_tokens, 12);
      child.kill("SIGTERM");
      const { code, errors } = await ended;
      assert.equal(code, 0, errors);
      return choices[0].text;
    }));
    assert.equal(answers[0], answers[1]);
  } finally {
    await Deno.remove(store, { recursive: true });
  }
});

for (
  const [words, expected] of [
    [["nothing-of-this-name"], /Cannot serve "nothing-of-this-name": there is no such file/],
    [["last"], /Cannot serve "last": there is no such file and nothing of the store/],
    [[EMBEDDED, "--host", "0.0.0.0"], /key/],
    [[EMBEDDED, "--memory", "1MB"], /Cannot/],
    [["embedded", "--memory", "1MB"], /memory|MB/],
    [[EMBEDDED, "--context", "much"], /Cannot take "much" as a number: expected one/],
  ] as const
) {
  Deno.test(`\`serve ${words.join(" ").replace(EMBEDDED, "CHECKPOINT")}\` fails in a sentence`, async () => {
    const store = await Deno.makeTempDir();
    try {
      assert.match(await refusalOf(words, store), expected);
    } finally {
      await Deno.remove(store, { recursive: true });
    }
  });
}

Deno.test("options, port and key are looked at before any step runs", async () => {
  const store = await Deno.makeTempDir();
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const port = String((taken.addr as Deno.NetAddr).port);
  try {
    for (
      const [words, expected] of [
        [["--port", port], /Cannot listen at 127\.0\.0\.1:\d+: the port is taken/],
        [["--port", "0", "--timeout", "-1"], /Cannot serve with "timeout": /],
        [["--port", "0", "--context", "0"], /Cannot serve with "context": /],
        [["--port", "0", "--api-key-file", `${store}/none`], /Cannot take the API key from/],
        [["--port", "0", "--device", "abacus"], /Cannot run kernels on "abacus"/],
      ] as const
    ) {
      const { success, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", MAIN, "serve", EMBEDDED, ...words, "--store", `${store}/it`],
        env: { QUATTUOR_API_KEY: "" },
      }).output();
      const errors = new TextDecoder().decode(stderr);
      assert.ok(!success, errors);
      assert.match(errors, expected);
      assert.ok(!errors.includes("load"), `a step ran: ${errors}`);
      await assert.rejects(Deno.stat(`${store}/it/artifacts`), Deno.errors.NotFound);
    }
  } finally {
    await Deno.remove(store, { recursive: true });
  }
});
