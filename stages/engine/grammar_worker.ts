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

/** Compiled grammars kept; the one used last stands last. */
const KEPT = 64;

// Messages are lost that come before somebody hears them, so the library is not waited for here.
const loading = loadXGrammar();
const compiled = new Map<string, CompiledGrammar>();
const answers = new Map<number, Answer>();
let compiler: Promise<GrammarCompiler>;
let utf8: Utf8Masks;
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
    compiler = openCompiler(message.vocabulary);
    await compiler;
    return;
  }
  const { id } = message;
  try {
    switch (message.type) {
      case "open": {
        const grammar = await compiledOf(message.grammar);
        const matcher = await library.GrammarMatcher.createGrammarMatcher(grammar);
        const answer = { matcher, state: 0 };
        answers.set(id, answer);
        for (const token of message.tokens) accept(answer, token);
        return await tellAllowed(id, answer);
      }
      case "accept": {
        const answer = answers.get(id);
        if (!answer) return;
        accept(answer, message.token);
        if (!answer.matcher.isTerminated()) await tellAllowed(id, answer);
        return;
      }
      case "close":
        answers.get(id)?.matcher.dispose();
        answers.delete(id);
    }
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

async function tellAllowed(id: number, { matcher, state }: Answer): Promise<void> {
  const mask = await matcher.getNextTokenBitmask();
  const allowed = new Uint32Array(mask.buffer as ArrayBuffer, mask.byteOffset, mask.length);
  utf8.narrow(allowed, state);
  if (allowed.every((word) => word === 0)) throw new Error("no token goes on with it");
  tell({ type: "allowed", id, allowed });
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
