// Slow: starts the program on machines of their own, several at once.
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import type { RunEvent } from "../../pipeline/event.ts";
import { temporary } from "../support/directory.ts";
import { bucketPlace, directoryPlace, filesBelow, type Place } from "../support/remote_place.ts";
import { toyCommand } from "../support/toy/command.ts";

const MANIFEST = `
steps:
  one: { stage: constant, with: { value: 3 } }
  more: { stage: add, from: { a: one }, with: { by: 4, parts: 3 } }
  quality: { stage: score, from: { a: more } }
`;
const STEPS = ["one", "more", "quality"];

/** A machine of its own: a directory with a store, and a process a command. */
async function machine(directory: string, env: Record<string, string>) {
  await Deno.mkdir(directory);
  await Deno.writeTextFile(`${directory}/a.yaml`, MANIFEST);
  return async (...args: string[]) => {
    const { code, stdout, stderr } = await toyCommand(args, {
      cwd: directory,
      env: { ...env, QUATTUOR_STORE: `${directory}/store`, NO_COLOR: "1" },
    }).output();
    const [out = "", errors = ""] = [stdout, stderr].map((bytes) =>
      new TextDecoder().decode(bytes)
    );
    strictEqual(code, 0, errors);
    const events = out.split("\n").filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line));
    const of = (type: RunEvent["type"]) => events.filter((event) => event.type === type);
    return { out, of };
  };
}

const PLACES: Record<string, () => Promise<Place & { env: Record<string, string> }>> = {
  "a directory": async () => {
    const place = await directoryPlace();
    return { ...place, env: { QUATTUOR_REMOTE: (await place.open()).name } };
  },
  "a bucket": async () => {
    const place = await bucketPlace({ prefix: "team" });
    return { ...place, env: { ...place.server.env(), QUATTUOR_REMOTE: "s3://bucket/team" } };
  },
};

for (const [what, open] of Object.entries(PLACES)) {
  Deno.test(`two machines that share ${what} make every artifact once`, async () => {
    await using shared = await open();
    await using here = await temporary();
    const one = await machine(`${here.path}/one`, shared.env);
    const first = await one("run", "a.yaml", "--json");
    deepStrictEqual(first.of("done").map(({ step }) => step), STEPS);
    strictEqual((await shared.list()).filter((name) => name.startsWith("artifacts/")).length, 3);
    const two = await machine(`${here.path}/two`, shared.env);
    const planned = (await two("plan", "a.yaml", "--json")).of("plan")[0].steps;
    deepStrictEqual(
      planned.map(({ name, state, reason }: Record<string, string>) => [name, state, reason]),
      STEPS.map((name) => [name, "hit (remote)", "made elsewhere"]),
    );
    // Asked for, it is not as if it were there.
    ok(!await Deno.stat(`${here.path}/two/store/artifacts`).then(() => true, () => false));
    const second = await two("run", "a.yaml", "--json");
    deepStrictEqual(second.of("done"), []);
    const digests = (all: readonly { step: string; digest: string }[]) =>
      all.map(({ step, digest }) => [step, digest]);
    deepStrictEqual(digests(second.of("reuse")), digests(first.of("done")));
    deepStrictEqual(second.of("summary")[0].scores, first.of("summary")[0].scores);
    const again = (await two("plan", "a.yaml", "--json")).of("plan")[0].steps;
    deepStrictEqual(
      again.map(({ state }: Record<string, string>) => state),
      STEPS.map(() => "hit"),
    );

    // A damaged artifact comes from the remote, and the plan knows.
    const key = planned[1].key;
    const number = `${here.path}/two/store/artifacts/${key}/number`;
    await Deno.remove(number);
    const mended = (await two("plan", "a.yaml", "--json")).of("plan")[0].steps[1];
    deepStrictEqual([mended.state, mended.key], ["hit (remote)", key]);
    match(mended.reason, /^its artifact is damaged: number is missing$/);
    const third = await two("run", "a.yaml", "--json");
    deepStrictEqual(third.of("done"), []);
    strictEqual(await Deno.readTextFile(number), "7");
  });
}

Deno.test("`push` copies what was made before there was a remote", async () => {
  await using shared = await directoryPlace();
  await using here = await temporary();
  const { name } = await shared.open();
  const run = await machine(`${here.path}/one`, {});
  await run("run", "a.yaml");
  deepStrictEqual(await filesBelow(name), []);
  const key = (await run("plan", "a.yaml", "--json")).of("plan")[0].steps[0].key;
  match((await run("push", key.slice(0, 8), "--remote", name)).out, /^1 artifact of \w+ is in /);
  deepStrictEqual((await shared.list()).filter((path) => path.startsWith("artifacts/")), [
    `artifacts/${key}.json`,
  ]);
  match((await run("push", "a.yaml", "--remote", name)).out, /^3 artifacts of a\.yaml are in /);
  strictEqual((await shared.list()).filter((path) => path.startsWith("artifacts/")).length, 3);
});

Deno.test("a run goes on without a remote that does not answer, and plan and run say so", async () => {
  await using here = await temporary();
  const env = {
    QUATTUOR_REMOTE: "s3://bucket/team",
    AWS_ENDPOINT_URL: "http://127.0.0.1:1",
    AWS_REGION: "r",
    AWS_ACCESS_KEY_ID: "a",
    AWS_SECRET_ACCESS_KEY: "b",
  };
  const run = await machine(`${here.path}/one`, env);
  const { of } = await run("run", "a.yaml", "--json");
  deepStrictEqual(of("done").map(({ step }) => step), STEPS);
  const [{ steps }] = of("plan");
  match(steps[0].reason, /^not made before; the remote cannot be asked: Cannot reach http:/);
  ok(of("note").some(({ text }) => /^Cannot copy it to s3:\/\/bucket\/team: /.test(text)));
});
