/// <reference lib="deno.worker" />
import type { CompiledGrammar, GrammarCompiler, GrammarMatcher } from "@mlc-ai/web-xgrammar";
import type { Grammar, Vocabulary } from "./grammar.ts";
import type { FromGrammars, ToGrammars } from "./grammar_messages.ts";
import { Utf8Masks } from "./utf8_masks.ts";
import { loadXGrammar } from "./xgrammar.ts";

/** An answer under way. */
interface Answer {
  readonly matcher: GrammarMatcher;
  /** Where its text stands; see `Utf8Masks`. */
  state: number;
}

/** What may come next in some answers; see `FromGrammars`. */
interface Told {
  readonly answers: [id: number, drafted: number][];
  readonly masks: Uint32Array[];
}

/** Compiled grammars kept; the one used last stands last. */
const KEPT = 64;

// Messages are lost that come before somebody hears them, so the library is not waited for here.
const loading = loadXGrammar();
const compiled = new Map<string, CompiledGrammar>();
const answers = new Map<number, Answer>();
let compiler: Promise<GrammarCompiler>;
let utf8: Utf8Masks;
let ends: ReadonlySet<number>;
let aborts = 0;

/** One thing after another: what the library does takes several turns. */
let last = Promise.resolve();
self.onmessage = ({ data }: MessageEvent<ToGrammars>) => {
  last = last.then(() => hear(data));
};

async function hear(message: ToGrammars): Promise<void> {
  const { library, said } = await loading;
  if (message.type === "vocabulary") {
    utf8 = new Utf8Masks(message.vocabulary);
    ends = new Set(message.vocabulary.ends);
    compiler = openCompiler(message.vocabulary);
    await compiler;
    return;
  }
  if (message.type === "close") {
    answers.get(message.id)?.matcher.dispose();
    answers.delete(message.id);
    return;
  }
  const told: Told = { answers: [], masks: [] };
  if (message.type === "open") {
    await unlessItFails(message.id, async () => {
      const grammar = await compiledOf(message.grammar);
      const matcher = await library.GrammarMatcher.createGrammarMatcher(grammar);
      const answer = { matcher, state: 0 };
      answers.set(message.id, answer);
      for (const token of message.tokens) accept(answer, token);
      await addAllowed(told, message.id, answer, []);
    }, said);
  } else {
    for (const { id, tokens, draft } of message.answers) {
      const answer = answers.get(id);
      if (!answer) continue;
      await unlessItFails(id, async () => {
        for (const token of tokens) accept(answer, token);
        if (!answer.matcher.isTerminated()) await addAllowed(told, id, answer, draft);
      }, said);
    }
  }
  const { masks } = told;
  if (masks.length === 0) return;
  const words = masks[0]!.length;
  const all = new Uint32Array(masks.length * words);
  masks.forEach((mask, i) => all.set(mask, i * words));
  const allowed: FromGrammars = { type: "allowed", answers: told.answers, masks: all };
  self.postMessage(allowed, [all.buffer]);
}

/** Tells of an answer at which the library gives up. */
async function unlessItFails(
  id: number,
  work: () => Promise<void>,
  said: () => string,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    const why = reasonOf(said()) ?? (error instanceof Error ? error.message : String(error));
    tell({ type: "failed", id, why });
    tell({ type: "aborts", count: ++aborts });
  }
}

async function openCompiler({ bytes, offsets, ends }: Vocabulary): Promise<GrammarCompiler> {
  const { library } = await loading;
  // The library takes bytes where its types say strings.
  const tokens = Array.from(
    { length: offsets.length - 1 },
    (_, token) => Uint8Array.from(bytes.subarray(offsets[token]!, offsets[token + 1]!)),
  );
  const info = await library.TokenizerInfo.createTokenizerInfo(
    tokens as unknown as string[],
    "raw",
    false,
    tokens.length,
    [...ends],
  );
  return await library.GrammarCompiler.createGrammarCompiler(info, false);
}

async function compiledOf(grammar: Grammar): Promise<CompiledGrammar> {
  let found = compiled.get(grammar);
  if (found) {
    compiled.delete(grammar);
  } else {
    found = await (await compiler).compileGrammar(grammar);
    if (compiled.size >= KEPT) {
      const [oldest, unused] = compiled.entries().next().value!;
      compiled.delete(oldest);
      // Matchers keep what they need of it.
      unused.dispose();
    }
  }
  compiled.set(grammar, found);
  return found;
}

function accept(answer: Answer, token: number): void {
  const state = utf8.next(answer.state, token);
  if (state === undefined || !answer.matcher.acceptToken(token)) {
    throw new Error(`token ${token} does not follow it`);
  }
  answer.state = state;
}

/** Adds what may come next, and behind each token of a draft as far as it is allowed. */
async function addAllowed(
  told: Told,
  id: number,
  { matcher, state }: Answer,
  draft: readonly number[],
): Promise<void> {
  const masks = [await allowedAt(matcher, state)];
  let at: number | undefined = state;
  for (const token of draft) {
    const before = masks.at(-1)!;
    if ((before[token >>> 5]! >>> (token & 31) & 1) === 0 || ends.has(token)) break;
    at = utf8.next(at, token);
    if (at === undefined || !matcher.acceptToken(token)) break;
    masks.push(await allowedAt(matcher, at));
  }
  if (masks.length > 1) matcher.rollBack(masks.length - 1);
  told.answers.push([id, masks.length - 1]);
  told.masks.push(...masks);
}

async function allowedAt(matcher: GrammarMatcher, state: number): Promise<Uint32Array> {
  const mask = await matcher.getNextTokenBitmask();
  const allowed = new Uint32Array(mask.buffer as ArrayBuffer, mask.byteOffset, mask.length);
  if (!utf8.narrow(allowed, state)) throw new Error("no token goes on with it");
  return allowed;
}

function tell(message: FromGrammars): void {
  self.postMessage(message);
}

/** What the library says behind the place in its own source. */
function reasonOf(text: string): string | undefined {
  const [, reason] =
    /\[FATAL\] [^ ]+:\d+: (?:Check failed: \(.*?\) is false: )?([^\n]*)/.exec(text) ??
      [];
  return reason;
}
