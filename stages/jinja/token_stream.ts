import type { Token } from "./lexer.ts";
import { TemplateError } from "./template_error.ts";

/** Tokens one after another. */
export class TokenStream {
  #at = 0;

  constructor(private readonly tokens: readonly Token[]) {}

  get current(): Token {
    return this.tokens[this.#at]!;
  }

  get following(): Token {
    return this.tokens[Math.min(this.#at + 1, this.tokens.length - 1)]!;
  }

  next(): Token {
    const token = this.current;
    if (token.kind !== "end") this.#at++;
    return token;
  }

  /** Whether the current token is this one. */
  is(kind: Token["kind"], ...texts: readonly string[]): boolean {
    const { current } = this;
    return current.kind === kind && (texts.length === 0 || texts.includes(current.text));
  }

  /** Takes the current token if it is this one. */
  skip(kind: Token["kind"], ...texts: readonly string[]): Token | undefined {
    return this.is(kind, ...texts) ? this.next() : undefined;
  }

  /** Takes the current token, which must be this one. */
  expect(kind: Token["kind"], ...texts: readonly string[]): Token {
    return this.skip(kind, ...texts) ??
      this.fail(`expected ${texts.join(" or ") || kind.replace("_", " ")}`);
  }

  fail(what: string): never {
    const { kind, text, line } = this.current;
    const found = kind === "end" ? "its end" : JSON.stringify(text);
    throw new TemplateError(`line ${line}: ${found} is there, ${what}`);
  }
}
