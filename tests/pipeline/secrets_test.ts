import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { messageOf } from "../../pipeline/errors.ts";
import { publicEnvironment, withoutSecrets } from "../../pipeline/secrets.ts";

const NAMES = ["QUATTUOR_API_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN"];

/** Runs a test with a secret in every variable that holds one. */
function withSecrets(work: () => void): void {
  const before = NAMES.map((name) => Deno.env.get(name));
  try {
    for (const name of NAMES) Deno.env.set(name, `planted ${name}`);
    work();
  } finally {
    for (const [at, name] of NAMES.entries()) {
      const value = before[at];
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
  }
}

Deno.test("a message names no secret, whoever has put it there", () => {
  withSecrets(() => {
    for (const name of NAMES) {
      strictEqual(messageOf(new Error(`bad header "planted ${name}"`)), 'bad header "***"');
    }
  });
  strictEqual(
    messageOf("Cannot reach https://me:secret@host:9000/a"),
    "Cannot reach https://***@host:9000/a",
  );
  for (const harmless of ["s3://bucket/a@b", "hf:org/name@main", "a@b.c", "restate=http://h:1"]) {
    strictEqual(withoutSecrets(harmless), harmless);
  }
});

Deno.test("other programs are started without secrets", () => {
  withSecrets(() => {
    const environment = publicEnvironment();
    deepStrictEqual(NAMES.filter((name) => name in environment), []);
    strictEqual(environment["PATH"], Deno.env.get("PATH"));
  });
});
