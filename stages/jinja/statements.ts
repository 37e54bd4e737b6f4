import type { AssignTarget, Body, Expression, Macro, Parameter, Statement } from "./ast.ts";
import { ExpressionParser } from "./expressions.ts";
import { templateTokens } from "./lexer.ts";
import { TokenStream } from "./token_stream.ts";

/** Names that are no variables. */
const RESERVED = ["true", "false", "none", "True", "False", "None"];
/** Tags of Jinja that need other templates, or extensions that chat templates are not given. */
const FOREIGN = ["autoescape", "block", "do", "extends", "from", "import", "include", "trans"];
const DEEPEST = 100;

/** Reads a template: what it does, in order. See {@linkcode templateTokens} for `verbatim`. */
export function parseTemplate(
  source: string,
  options: { readonly verbatim?: boolean } = {},
): Body {
  return new StatementParser(new TokenStream(templateTokens(source, options))).body([]);
}

class StatementParser {
  readonly #expressions: ExpressionParser;
  #depth = 0;
  #loops = 0;

  constructor(private readonly stream: TokenStream) {
    this.#expressions = new ExpressionParser(stream);
  }

  /** Statements up to a tag of one of these names, which is left to be read, or up to the end. */
  body(ends: readonly string[]): Body {
    if (++this.#depth > DEEPEST) this.stream.fail(`tags are nested more than ${DEEPEST} deep`);
    const found: Statement[] = [];
    for (;;) {
      const { stream } = this;
      if (stream.is("end")) {
        if (ends.length > 0) stream.fail(`expected ${ends.join(" or ")}`);
        break;
      }
      if (stream.is("data")) found.push({ kind: "data", text: stream.next().text });
      else if (stream.skip("variable_begin")) {
        found.push({ kind: "output", value: this.#expressions.tuple() });
        stream.expect("variable_end");
      } else {
        if (ends.includes(stream.following.text)) break;
        found.push(this.#tag());
      }
    }
    this.#depth--;
    return found;
  }

  #tag(): Statement {
    const { stream } = this;
    stream.expect("block_begin");
    const { text } = stream.current;
    if (FOREIGN.includes(text)) stream.fail("expected a tag that chat templates may have");
    stream.expect("name");
    switch (text) {
      case "if":
        return this.#if();
      case "for":
        return this.#for();
      case "set":
        return this.#set();
      case "macro":
        return this.#macro();
      case "call":
        return this.#call();
      case "filter": {
        const filter = this.#expressions.filter(undefined);
        return { kind: "filter block", filter, body: this.#within("endfilter") };
      }
      case "with":
        return this.#with();
      case "generation":
        return { kind: "scope", body: this.#within("endgeneration") };
      case "break":
      case "continue":
        if (this.#loops === 0) stream.fail(`${text} stands outside of a loop`);
        stream.expect("block_end");
        return { kind: text };
      default:
        return stream.fail(`${text} before it is no tag`);
    }
  }

  /** The body of a tag that has been read up to its end, and the tag that ends it. */
  #within(end: string): Body {
    this.stream.expect("block_end");
    const body = this.body([end]);
    this.#end(end);
    this.stream.expect("block_end");
    return body;
  }

  #end(...names: readonly string[]): string {
    this.stream.expect("block_begin");
    const { text } = this.stream.expect("name", ...names);
    return text;
  }

  #if(): Statement {
    const { stream } = this;
    const branches: { test: Expression; body: Body }[] = [];
    let otherwise: Body = [];
    for (let tag = "if"; tag !== "endif";) {
      if (tag === "else") {
        stream.expect("block_end");
        otherwise = this.body(["endif"]);
        tag = this.#end("endif");
      } else {
        const test = this.#expressions.tuple({ conditional: false });
        stream.expect("block_end");
        branches.push({ test, body: this.body(["elif", "else", "endif"]) });
        tag = this.#end("elif", "else", "endif");
      }
    }
    stream.expect("block_end");
    return { kind: "if", branches, otherwise };
  }

  #for(): Statement {
    const { stream } = this;
    const target = this.#targets({ spaces: false });
    stream.expect("name", "in");
    const over = this.#expressions.tuple({ conditional: false, ends: ["recursive"] });
    const test = stream.skip("name", "if") ? this.#expressions.expression() : undefined;
    const recursive = stream.skip("name", "recursive") !== undefined;
    stream.expect("block_end");
    this.#loops++;
    const body = this.body(["else", "endfor"]);
    this.#loops--;
    let otherwise: Body = [];
    if (this.#end("else", "endfor") === "else") {
      stream.expect("block_end");
      otherwise = this.body(["endfor"]);
      this.#end("endfor");
    }
    stream.expect("block_end");
    return { kind: "for", target, over, test, recursive, body, otherwise };
  }

  #set(): Statement {
    const target = this.#targets({ spaces: true });
    if (this.stream.skip("operator", "=")) {
      const value = this.#expressions.tuple();
      this.stream.expect("block_end");
      return { kind: "set", target, value };
    }
    const filter = this.stream.is("operator", "|") ? this.#blockFilter() : undefined;
    const body = this.#within("endset");
    return { kind: "set block", target, filter, body };
  }

  #blockFilter(): Expression {
    this.stream.expect("operator", "|");
    return this.#expressions.filter(undefined);
  }

  #macro(): Statement {
    const name = this.stream.expect("name").text;
    const parameters = this.#parameters();
    return { kind: "macro", name, ...this.#macroBody(parameters, "endmacro") };
  }

  #call(): Statement {
    const parameters = this.stream.is("operator", "(") ? this.#parameters() : [];
    const call = this.#expressions.expression();
    if (call.kind !== "call") this.stream.fail("expected a call before it");
    return { kind: "call block", call, ...this.#macroBody(parameters, "endcall") };
  }

  #macroBody(parameters: readonly Parameter[], end: string): Macro {
    const loops = this.#loops;
    this.#loops = 0;
    const body = this.#within(end);
    this.#loops = loops;
    return { parameters, body };
  }

  #parameters(): Parameter[] {
    const { stream } = this;
    stream.expect("operator", "(");
    const found: Parameter[] = [];
    while (!stream.is("operator", ")")) {
      if (found.length > 0) stream.expect("operator", ",");
      const { name } = this.#name();
      if (stream.skip("operator", "=")) {
        found.push({ name, otherwise: this.#expressions.expression() });
      } else if (found.some(({ otherwise }) => otherwise)) {
        stream.fail("expected a default before it");
      } else found.push({ name });
    }
    stream.expect("operator", ")");
    return found;
  }

  #with(): Statement {
    const { stream } = this;
    const values: (readonly [AssignTarget, Expression])[] = [];
    while (!stream.is("block_end")) {
      if (values.length > 0) stream.expect("operator", ",");
      const target = this.#target({ spaces: false });
      stream.expect("operator", "=");
      values.push([target, this.#expressions.expression()]);
    }
    const body = this.#within("endwith");
    return { kind: "with", values, body };
  }

  #targets(where: { readonly spaces: boolean }): AssignTarget {
    const items = [this.#target(where)];
    let comma = false;
    while (this.stream.skip("operator", ",")) {
      comma = true;
      if (this.stream.is("name", "in") || this.stream.is("operator", "=")) break;
      items.push(this.#target(where));
    }
    return comma ? { kind: "tuple", items } : items[0]!;
  }

  #target({ spaces }: { readonly spaces: boolean }): AssignTarget {
    const { stream } = this;
    if (stream.skip("operator", "(")) {
      const found = this.#targets({ spaces });
      stream.expect("operator", ")");
      return found;
    }
    const { name } = this.#name();
    if (!spaces || !stream.skip("operator", ".")) return { kind: "name", name };
    return { kind: "attribute", name, attribute: stream.expect("name").text };
  }

  #name(): { readonly name: string } {
    if (this.stream.is("name", ...RESERVED)) this.stream.fail("expected a name that can be set");
    return { name: this.stream.expect("name").text };
  }
}
