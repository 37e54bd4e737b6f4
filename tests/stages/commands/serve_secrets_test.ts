import { strict as assert } from "node:assert";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { FakeS3 } from "../../support/s3_stub.ts";

const MAIN = fileURLToPath(new URL("../../../mod.ts", import.meta.url));
const EMBEDDED = fileURLToPath(new URL("../../../configs/embedded", import.meta.url));

/** What nobody may find afterwards. */
const PLANTED = {
  QUATTUOR_API_KEY: "planted-key-of-the-server",
  AWS_SESSION_TOKEN: "planted/session+token==",
  HF_TOKEN: "hf_plantedTokenOfTheHub",
};

/** Every file below a directory, and every directory, with its rights. */
async function walk(path: string): Promise<{ path: string; mode: number; directory: boolean }[]> {
  const found = [];
  for await (const { name, isDirectory } of Deno.readDir(path)) {
    const full = join(path, name);
    const { mode } = await Deno.lstat(full);
    found.push({ path: full, mode: (mode ?? 0) & 0o777, directory: isDirectory });
    if (isDirectory) found.push(...await walk(full));
  }
  return found;
}

/** What a server wrote, and what it left in a directory, while it was asked and stopped. */
async function serveOnce(
  directory: string,
  { words, env }: { readonly words: readonly string[]; readonly env: Record<string, string> },
): Promise<string> {
  const program = [Deno.execPath(), "run", "-A", MAIN];
  const args = ["serve", EMBEDDED, "--context", "256", "--port", "0", "--json"];
  const child = new Deno.Command("sh", {
    // The widest umask there is.
    args: ["-c", 'umask 000; exec "$@"', "sh", ...program, ...args, ...words],
    cwd: directory,
    env: { ...env, TMPDIR: directory, QUATTUOR_STORE: `${directory}/store` },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const errors = new Response(child.stderr).text();
  let out = "";
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  while (!/"serving"/.test(out) || !/"engine"/.test(out)) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`it ended: ${await errors}`);
    out += value;
  }
  const [, url] = /"url":"([^"]+)"/.exec(out)!;
  const ask = (key: string) =>
    fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
  assert.equal((await ask(PLANTED.QUATTUOR_API_KEY)).status, 200);
  assert.equal((await ask("another")).status, 401);
  child.kill("SIGTERM");
  for (let next = await reader.read(); !next.done; next = await reader.read()) out += next.value;
  assert.equal((await child.status).code, 0, await errors);
  return out + await errors;
}

for (const how of ["--api-key", "--api-key-file", "the environment"]) {
  Deno.test(`a server told its key by ${how} leaves no secret behind, and nothing for others to read`, async () => {
    await using bucket = new FakeS3();
    const directory = await Deno.makeTempDir();
    // Outside of what is searched.
    const file = await Deno.makeTempFile();
    try {
      const { QUATTUOR_API_KEY: key, ...others } = PLANTED;
      const aws = bucket.env();
      await Deno.writeTextFile(file, `${key}\n`);
      const words = how === "--api-key" ? [how, key] : how === "--api-key-file" ? [how, file] : [];
      const said = await serveOnce(directory, {
        words: [...words, "--remote", "s3://bucket/shared"],
        env: {
          ...aws,
          ...others,
          QUATTUOR_API_KEY: how === "the environment" ? key : "",
        },
      });
      const secrets = [...Object.values(PLANTED), aws["AWS_SECRET_ACCESS_KEY"]!];
      const places = await walk(directory);
      assert.ok(places.length > 20, "it left nothing");
      assert.ok(bucket.objects.size > 3, "it shared nothing");
      const texts = await Promise.all(
        places.filter(({ directory }) => !directory)
          .map(async ({ path }) => [path, latin(await Deno.readFile(path))] as const),
      );
      const shared = [...bucket.objects].map(([name, bytes]) => [name, latin(bytes)] as const);
      for (const secret of secrets) {
        for (const [path, text] of [["its output", said] as const, ...texts, ...shared]) {
          assert.ok(!text.includes(secret), `${path} holds ${secret}`);
        }
      }
      for (const { path, mode, directory } of places) {
        if (!/\/(locks|logs|journal|runs)(\/|$)/.test(path)) continue;
        assert.equal(mode & ~(directory ? 0o700 : 0o600), 0, `${path} has ${mode.toString(8)}`);
      }
    } finally {
      await Deno.remove(directory, { recursive: true });
      await Deno.remove(file);
    }
  });
}

for (
  const [words, expected] of [
    [["--api-key-file", "/dev/zero"], /Cannot take the API key from \/dev\/zero: it is no file/],
    [["--api-key-file", "gone"], /Cannot take the API key from gone: there is none/],
    [["--api-key-file", MAIN], /Cannot take the API key from .*: it has several words/],
    [["--api-key-file", MAIN, "--api-key", "k"], /--api-key says another, expected one of the two/],
  ] as const
) {
  Deno.test(`\`serve ${words.join(" ").replaceAll(MAIN, "MOD.TS")}\` is refused`, async () => {
    const store = await Deno.makeTempDir();
    try {
      const { code, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", MAIN, "serve", EMBEDDED, "--port", "0", ...words, "--store", store],
      }).output();
      assert.match(new TextDecoder().decode(stderr), expected);
      assert.notEqual(code, 0);
    } finally {
      await Deno.remove(store, { recursive: true });
    }
  });
}

function latin(bytes: Uint8Array): string {
  return new TextDecoder("latin1").decode(bytes);
}
