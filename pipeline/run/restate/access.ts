import { createHash, timingSafeEqual } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { openOwnDirectory, OWN_FILE } from "../../store/owner_only.ts";

const access = z.strictObject({
  /** What whoever orders or joins must say. */
  token: z.string().min(32),
  /** By which the objects know that the server itself calls them, as Restate writes it. */
  identity: z.string().regex(/^publickeyv1_[1-9A-HJ-NP-Za-km-z]+$/),
});

/**
 * What servers, workers and runs of one store know of each other: it lies in the store, readable by
 * the owner alone, so that whoever has the store may order, and nobody else.
 */
export type RestateAccess = z.output<typeof access>;

/** The access of a server, with the file of the key with which it signs its calls. */
export interface ServerAccess extends RestateAccess {
  readonly keyFile: string;
}

const DIRECTORY = "restate";
const ACCESS = "access.json";
const KEY = "identity.pem";

/** Reads what a store's server has written; throws in a sentence where there is none. */
export async function readAccess(store: string): Promise<RestateAccess> {
  const path = join(store, DIRECTORY, ACCESS);
  const text = await Deno.readTextFile(path).catch((cause) => {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new Error(
      `Cannot use Restate: there is no ${path}, expected the store at which \`deno task restate\` ` +
        "was started; give the same --store to both",
      { cause },
    );
  });
  try {
    return access.parse(JSON.parse(text));
  } catch (cause) {
    const message = `Cannot read ${path}: it is not as \`deno task restate\` writes it, expected ` +
      "so; remove it and start that anew";
    throw new Error(message, { cause });
  }
}

/** The access of a store's server: what is there, so that workers need not start anew, else another. */
export async function openServerAccess(store: string): Promise<ServerAccess> {
  const directory = join(store, DIRECTORY);
  await openOwnDirectory(directory);
  const keyFile = join(directory, KEY);
  const known = await readAccess(store).catch(() => undefined);
  const there = await Deno.stat(keyFile).then(({ isFile }) => isFile, () => false);
  if (known && there) return { ...known, keyFile };
  const { privateKey, publicKey } = await crypto.subtle.generateKey("Ed25519", true, ["sign"])
    .then((pair) => pair as CryptoKeyPair);
  const secret = new Uint8Array(await crypto.subtle.exportKey("pkcs8", privateKey));
  const pem = `-----BEGIN PRIVATE KEY-----\n${secret.toBase64()}\n-----END PRIVATE KEY-----\n`;
  const open = new Uint8Array(await crypto.subtle.exportKey("raw", publicKey));
  const made: RestateAccess = {
    token: crypto.getRandomValues(new Uint8Array(32)).toHex(),
    identity: `publickeyv1_${base58(open)}`,
  };
  await Deno.writeTextFile(keyFile, pem, { mode: OWN_FILE });
  await Deno.writeTextFile(join(directory, ACCESS), JSON.stringify(made), { mode: OWN_FILE });
  return { ...made, keyFile };
}

/** Whether a request says the token. */
export function maySpeak({ headers }: Request, { token }: RestateAccess): boolean {
  const [, given = ""] = /^Bearer +(.*)$/i.exec(headers.get("authorization") ?? "") ?? [];
  const [said, wanted] = [given, token].map((text) => createHash("sha256").update(text).digest());
  return timingSafeEqual(said!, wanted!);
}

const DIGITS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/** Bytes in base 58, as Restate writes public keys. */
function base58(bytes: Uint8Array): string {
  let text = "";
  for (let rest = BigInt(`0x${bytes.toHex()}`); rest > 0n; rest /= 58n) {
    text = DIGITS[Number(rest % 58n)]! + text;
  }
  const zeros = bytes.findIndex((byte) => byte !== 0);
  return DIGITS[0]!.repeat(zeros < 0 ? bytes.length : zeros) + text;
}
