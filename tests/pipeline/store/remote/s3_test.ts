import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { openBucket } from "../../../../pipeline/store/remote/s3.ts";
import { temporary } from "../../../support/directory.ts";
import { failure, FakeS3 } from "../../../support/s3_stub.ts";
import { bucketPlace, bytesOf, makeArtifact, PACE } from "../../../support/remote_place.ts";

const PART_BYTES = 64 << 10;
/** Three parts and a rest. */
const LARGE = bytesOf(3 * PART_BYTES + 1234, 1);

/** A bucket and an artifact with one large file, to push and fetch. */
async function openAll(
  use: (given: {
    readonly server: FakeS3;
    readonly key: string;
    push(signal?: AbortSignal): Promise<void>;
    /** The large file as it was fetched. */
    fetch(signal?: AbortSignal): Promise<Uint8Array>;
    list(): Promise<string[]>;
  }) => Promise<void>,
  pace = PACE,
): Promise<void> {
  await using shared = await bucketPlace({ partBytes: PART_BYTES, pace });
  await using here = await temporary();
  const { key, path } = await makeArtifact(`${here.path}/store`, { large: LARGE });
  const remote = await shared.open();
  let fetched = 0;
  await use({
    server: shared.server,
    key,
    push: (signal) => remote.push(key, path, signal),
    fetch: async (signal) => {
      const there = `${here.path}/${fetched++}`;
      await Deno.mkdir(there);
      strictEqual(await remote.fetch(key, there, signal), true);
      return await Deno.readFile(`${there}/large`);
    },
    list: shared.list,
  });
}

/** The first bytes of a body, then nothing more as `end` has it. */
function cut(
  bytes: Uint8Array<ArrayBuffer>,
  end: (body: ReadableStreamDefaultController) => void,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    async start(body) {
      body.enqueue(bytes);
      // Long enough for the bytes to be on their way.
      await sleep(100);
      end(body);
    },
  });
}

const isFile = (path: string) => path.includes("/files/");

Deno.test("a bucket gets large files in parts, and nothing that it has", () =>
  openAll(async ({ server, push, fetch, list }) => {
    await push();
    const parts = server.log.flatMap((line) => / (\d+)$/.exec(line)?.[1] ?? []).sort();
    deepStrictEqual(parts, ["1", "2", "3", "4"]);
    deepStrictEqual(await fetch(), LARGE);
    strictEqual((await list()).length, 2);
    server.log.length = 0;
    await push();
    deepStrictEqual(server.log.map((line) => line.split(" ")[0]), ["HEAD", "GET"]);
  }));

Deno.test("a bucket in trouble is asked again, a bounded number of times", () =>
  openAll(async ({ server, push, fetch }) => {
    const seen = new Map<string, number>();
    const troubles = [[503, "SlowDown"], [500, "InternalError"], [429, "TooMany"]] as const;
    // Every request fails three times, and well the fourth time.
    server.meddle = ({ method, path, query, headers }, usual) => {
      const what = `${method} ${path}?${query} ${headers.get("range")}`;
      const times = seen.get(what) ?? 0;
      seen.set(what, times + 1);
      const trouble = troubles[times];
      return trouble ? failure(trouble[0], trouble[1]) : usual();
    };
    await push();
    deepStrictEqual(await fetch(), LARGE);
    ok([...seen.values()].every((times) => times >= 4));
    let times = 0;
    server.meddle = ({ path }, usual) => {
      if (!isFile(path)) return usual();
      times++;
      return failure(500, "InternalError");
    };
    await rejects(
      fetch(),
      /^Error: Cannot read files\/\w+: it answers 500 \(Int\w+\), 4 times over$/,
    );
    strictEqual(times, PACE.tries);
  }));

Deno.test("a download goes on where a connection broke, or where it came to a stop", () =>
  openAll(async ({ server, push, fetch }) => {
    await push();
    const ends = {
      cut: (body: ReadableStreamDefaultController) => body.error(new Error("cut")),
      silent: () => {},
      short: (body: ReadableStreamDefaultController) => body.close(),
    };
    for (const [how, end] of Object.entries(ends)) {
      const ranges: (string | null)[] = [];
      server.meddle = async ({ path, headers }, usual) => {
        const answer = usual();
        if (!isFile(path)) return answer;
        ranges.push(headers.get("range"));
        // More breaks than tries: each one gets further.
        if (ranges.length > 6) return answer;
        const bytes = new Uint8Array(await answer.arrayBuffer()).slice(0, 20_000);
        return new Response(cut(bytes, end), { status: answer.status, headers: answer.headers });
      };
      deepStrictEqual(await fetch(), LARGE, how);
      strictEqual(ranges.length, 7, how);
      strictEqual(ranges[0], null);
      deepStrictEqual(ranges.slice(1), [1, 2, 3, 4, 5, 6].map((n) => `bytes=${n * 20_000}-`), how);
    }
  }, { ...PACE, patience: 300 }));

Deno.test("a download begins anew where a server knows no ranges, and ends if that goes on", () =>
  openAll(async ({ server, push, fetch }) => {
    await push();
    let times = 0;
    let breaks = 2;
    server.meddle = ({ path }, usual) => {
      if (!isFile(path)) return usual();
      if (times++ >= breaks) return new Response(LARGE);
      return new Response(cut(LARGE.slice(0, 10_000), (body) => body.error(new Error("cut"))));
    };
    deepStrictEqual(await fetch(), LARGE);
    strictEqual(times, 3);
    [times, breaks] = [0, Infinity];
    await rejects(fetch(), /^Error: Cannot read files\/\w+: .*, 4 times over$/);
    // The first one got somewhere.
    strictEqual(times, PACE.tries + 1);
  }));

Deno.test("a download takes no part of a file that it did not ask for", () =>
  openAll(async ({ server, push, fetch }) => {
    await push();
    server.meddle = ({ path }, usual) =>
      isFile(path)
        ? new Response(LARGE.slice(5), { status: 206, headers: { "content-range": "bytes 5-9/9" } })
        : usual();
    await rejects(fetch(), /^WrongObject: files\/\w+ comes from byte 5 on, unasked$/);
  }));

Deno.test("a download stops in its middle when it is told to", () =>
  openAll(async ({ server, push, fetch }) => {
    await push();
    const controller = new AbortController();
    server.meddle = ({ path }, usual) => {
      if (!isFile(path)) return usual();
      setTimeout(() => controller.abort(new Error("asked to stop")), 50);
      return new Response(cut(LARGE.slice(0, 1000), () => {}));
    };
    const start = performance.now();
    await rejects(fetch(controller.signal), /^Error: asked to stop$/);
    ok(performance.now() - start < 30_000, "it had the patience that it has with silence");
  }, { ...PACE, patience: 60_000 }));

Deno.test("an upload in parts that fails is taken back, and shows nothing", () =>
  openAll(async ({ server, push, list }) => {
    server.meddle = ({ query }, usual) =>
      query.get("partNumber") === "3" ? failure(400, "EntityTooSmall") : usual();
    await rejects(push(), /Cannot write part 3 of files\/\w+ in s3:.*400 \(EntityTooSmall\)$/);
    strictEqual(server.uploads.size, 0);
    deepStrictEqual(await list(), []);
    // What came in its place is the same file, and shows under its name only if it is right.
    server.meddle = (_, usual) => usual();
    await push();
    strictEqual((await list()).length, 2);
  }));

Deno.test("an upload in parts stops in its middle when it is told to, and is taken back", () =>
  openAll(async ({ server, push, list }) => {
    const controller = new AbortController();
    server.meddle = async ({ query }, usual) => {
      if (query.get("partNumber") !== "2") return usual();
      controller.abort(new Error("asked to stop"));
      await sleep(300);
      return usual();
    };
    await rejects(push(controller.signal), /^Error: asked to stop$/);
    strictEqual(server.uploads.size, 0);
    deepStrictEqual(await list(), []);
  }));

Deno.test("an upload in parts is whole though the answer that says so fails or is lost", () =>
  openAll(async ({ server, push, fetch, list }) => {
    for (const how of ["in words", "lost"]) {
      server.objects.clear();
      let times = 0;
      server.meddle = ({ method, query }, usual) => {
        if (method !== "POST" || !query.has("uploadId") || times++ > 0) return usual();
        if (how === "in words") return failure(200, "InternalError");
        usual();
        return failure(500, "InternalError");
      };
      await push();
      strictEqual(times, 2);
      strictEqual((await list()).length, 2);
      deepStrictEqual(await fetch(), LARGE);
    }
  }));

Deno.test("a bucket that refuses is not asked again, and the sentence says what to do", async () => {
  await using server = await Promise.resolve(new FakeS3());
  const ask = async (place: string, changes: Record<string, string> = {}) => {
    const env = server.env(changes);
    const remote = await openBucket(place, { env: (name) => env[name], pace: PACE });
    await remote.record("0".repeat(64));
  };
  await rejects(
    ask("s3://nowhere/a"),
    /^Error: Cannot use the remote s3:\/\/nowhere\/a: there is no bucket "nowhere" at http:\S+; make/,
  );
  const wrong = { AWS_SECRET_ACCESS_KEY: "wrong" };
  await rejects(
    ask("s3://bucket", wrong),
    /403 \(SignatureDoesNotMatch\), .* AWS_SECRET_ACCESS_KEY/,
  );
  await rejects(ask("s3://bucket", { AWS_ACCESS_KEY_ID: "x" }), /403 \(InvalidAccessKeyId\)/);
  let times = 0;
  server.meddle = () => {
    times++;
    return failure(301, "PermanentRedirect", { "x-amz-bucket-region": "us-west-9" });
  };
  await rejects(ask("s3://bucket"), /301 \(PermanentRedirect\), expected AWS_REGION=us-west-9, /);
  strictEqual(times, 1);
});

Deno.test("a server that does not answer is not asked again for a while", async () => {
  await using server = await Promise.resolve(new FakeS3());
  const env = server.env();
  const remote = await openBucket("s3://bucket", {
    env: (name) => env[name],
    pace: { ...PACE, patience: 400 },
  });
  let times = 0;
  server.meddle = async (_, usual) => {
    times++;
    await sleep(800);
    return usual();
  };
  const sentence = /^Error: Cannot reach http:\S+: nothing comes for 0\.4 s$/;
  await rejects(remote.has("0".repeat(64)), sentence);
  strictEqual(times, PACE.tries);
  await rejects(remote.record("0".repeat(64)), sentence);
  strictEqual(times, PACE.tries);
  const gone = await openBucket("s3://bucket", {
    env: (name) => name === "AWS_ENDPOINT_URL_S3" ? "http://127.0.0.1:1" : env[name],
    pace: PACE,
  });
  await rejects(gone.has("0".repeat(64)), /^Error: Cannot reach http:\/\/127\.0\.0\.1:1: /);
});

Deno.test("`openBucket()` names what is missing or cannot be understood", async () => {
  const open = (place: string, env: Record<string, string>) =>
    Promise.resolve().then(() => openBucket(place, { env: (name) => env[name] }));
  const keys = { AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b" };
  await Promise.all([
    rejects(
      open("s3://bucket", { AWS_SECRET_ACCESS_KEY: "b" }),
      /^TypeError: .*: AWS_REGION or AWS_DEFAULT_REGION, AWS_ACCESS_KEY_ID are not set, expected/,
    ),
    rejects(open("s3://bucket", { ...keys, AWS_REGION: "" }), /AWS_DEFAULT_REGION is not set/),
    rejects(open("s3://", keys), /^TypeError: .* expected s3:\/\/bucket\/prefix$/),
    rejects(open("s3://bucket/../other", keys), /expected s3:\/\/bucket\/prefix$/),
    rejects(
      open("s3://bucket", { ...keys, AWS_REGION: "r", AWS_ENDPOINT_URL: "localhost" }),
      /^TypeError: Cannot use AWS_ENDPOINT_URL=localhost: expected a URL such as/,
    ),
  ]);
});

Deno.test("a session's token is signed and sent", async () => {
  await using server = await Promise.resolve(new FakeS3());
  const env = server.env({ AWS_SESSION_TOKEN: "a token" });
  const tokens: (string | null)[] = [];
  server.meddle = ({ headers }, usual) => {
    tokens.push(headers.get("x-amz-security-token"));
    return usual();
  };
  const remote = await openBucket("s3://bucket/", { env: (name) => env[name], pace: PACE });
  strictEqual(await remote.has("0".repeat(64)), false);
  deepStrictEqual(tokens, ["a token"]);
  match(server.log.join(), /^HEAD bucket\/artifacts\/0+\.json$/);
});

Deno.test("a bucket that a killed process was pushing to shows nothing of it", () =>
  openAll(async ({ server, push, list }) => {
    // The push never comes to its end: as seen from the bucket that is what a kill is.
    let reached = () => {};
    const isThere = new Promise<void>((resolve) => reached = resolve);
    let killed = false;
    server.meddle = async ({ query }, usual) => {
      const answer = usual();
      if (query.get("partNumber") !== "3" && !killed) return answer;
      reached();
      if (!killed) await sleep(400);
      return answer;
    };
    await using here = await temporary();
    const { key, path } = await makeArtifact(`${here.path}/store`, { large: LARGE });
    const program = `
      import { openBucket } from ${
      JSON.stringify(import.meta.resolve("../../../../pipeline/store/remote/s3.ts"))
    };
      const remote = await openBucket("s3://bucket/killed", { partBytes: ${PART_BYTES} });
      await remote.push("${key}", ${JSON.stringify(path)});
    `;
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "eval",
        `--config=${fileURLToPath(new URL("../../../../deno.json", import.meta.url))}`,
        program,
      ],
      env: server.env(),
    }).spawn();
    await Promise.race([isThere, child.status]);
    child.kill("SIGKILL");
    strictEqual((await child.status).signal, "SIGKILL");
    killed = true;
    ok([...server.uploads.values()].some((parts) => parts.size > 0));
    deepStrictEqual(await list(), []);
    await push();
    strictEqual((await list()).length, 2);
  }));
